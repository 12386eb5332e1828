"""URLs of webhook endpoints: one reading for each, or none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_hub.domain.errors import InvalidInputError
from gateway_hub.domain.networks import parse_networks
from gateway_hub.domain.webhooks.urls import (
    LONGEST_URL,
    WebhookUrl,
    check_webhook_url,
    parse_webhook_url,
)

READ = [
    ("https://example.com", WebhookUrl("https", "example.com", 443, "/")),
    ("http://example.com/", WebhookUrl("http", "example.com", 80, "/")),
    ("HTTPS://EXAMPLE.Com/Hook", WebhookUrl("https", "example.com", 443, "/Hook")),
    ("https://example.com./a", WebhookUrl("https", "example.com", 443, "/a")),
    ("https://example.com:443/a", WebhookUrl("https", "example.com", 443, "/a")),
    ("http://example.com:443/a", WebhookUrl("http", "example.com", 443, "/a")),
    ("https://example.com:08443", WebhookUrl("https", "example.com", 8443, "/")),
    ("https://example.com?a=b/c?d", WebhookUrl("https", "example.com", 443, "/?a=b/c?d")),
    ("https://example.com/?", WebhookUrl("https", "example.com", 443, "/?")),
    ("https://example.com/a/../b//c", WebhookUrl("https", "example.com", 443, "/a/../b//c")),
    ("https://example.com/%2e%zz", WebhookUrl("https", "example.com", 443, "/%2e%zz")),
    ("https://example.com/ä?q=é", WebhookUrl("https", "example.com", 443, "/%C3%A4?q=%C3%A9")),
    (
        'https://example.com/"<>{|}^`',
        WebhookUrl("https", "example.com", 443, "/%22%3C%3E%7B%7C%7D%5E%60"),
    ),
    ("http://backend:8000/hook", WebhookUrl("http", "backend", 8000, "/hook")),
    ("http://my_app-1:8000/", WebhookUrl("http", "my_app-1", 8000, "/")),
    ("https://bücher.example/", WebhookUrl("https", "xn--bcher-kva.example", 443, "/")),
    ("https://BÜCHER.example/", WebhookUrl("https", "xn--bcher-kva.example", 443, "/")),
    ("https://straße.example/", WebhookUrl("https", "xn--strae-oqa.example", 443, "/")),
    ("https://xn--bcher-kva.example", WebhookUrl("https", "xn--bcher-kva.example", 443, "/")),
    ("https://8.8.8.8/", WebhookUrl("https", "8.8.8.8", 443, "/")),
    ("https://1.2.3.4.example/", WebhookUrl("https", "1.2.3.4.example", 443, "/")),
    ("https://[2001:4860:4860:0::8888]", WebhookUrl("https", "2001:4860:4860::8888", 443, "/")),
    ("https://[::FFFF:8.8.8.8]:8443/", WebhookUrl("https", "::ffff:808:808", 8443, "/")),
]


@pytest.mark.parametrize(("text", "url"), READ, ids=[text for text, _ in READ])
def test_a_url_is_taken_apart(text: str, url: WebhookUrl) -> None:
    assert parse_webhook_url(text) == url


REFUSED = [
    ("", "url_invalid"),
    ("example.com", "url_invalid"),
    ("//example.com", "url_invalid"),
    ("https:example.com", "url_invalid"),
    ("https:/example.com", "url_invalid"),
    ("ftp://example.com/", "url_invalid"),
    ("file:///etc/passwd", "url_invalid"),
    ("gopher://example.com/", "url_invalid"),
    ("javascript:alert(1)", "url_invalid"),
    ("unix:///run/docker.sock", "url_invalid"),
    ("http+unix://%2Frun%2Fdocker.sock/", "url_invalid"),
    (" https://example.com", "url_invalid"),
    ("https://example.com/\n", "url_invalid"),
    ("https://example.com/\r\nHost: evil", "url_invalid"),
    ("https://exam\tple.com/", "url_invalid"),
    ("https://example.com/\x00", "url_invalid"),
    ("https://example.com/\x7f", "url_invalid"),
    ("https://example.com/\ud83d", "url_invalid"),
    ("https://example.com\\@127.0.0.1/", "url_invalid"),
    ("https://example.com/a#b", "url_fragment"),
    ("https://127.0.0.1#@example.com/", "url_fragment"),
    ("https://user@example.com/", "url_credentials"),
    ("https://user:secret@example.com/", "url_credentials"),
    ("https://@example.com/", "url_credentials"),
    ("https://example.com:443@127.0.0.1/", "url_credentials"),
    ("https://example.com%40127.0.0.1/", "url_host"),
    ("https://", "url_host"),
    ("https:///path", "url_host"),
    ("https://:443/", "url_host"),
    ("https://./", "url_host"),
    ("https://../", "url_host"),
    ("https://example..com/", "url_host"),
    ("https://.example.com/", "url_host"),
    ("https://example.com../", "url_host"),
    ("https://-a.example/", "url_host"),
    ("https://a-.example/", "url_host"),
    ("https://*.example/", "url_host"),
    ("https://a,b/", "url_host"),
    ("https://127.0.0.1%00.example.com/", "url_host"),
    ("https://%31%32%37.0.0.1/", "url_host"),
    (f"https://{'a' * 64}.example/", "url_host"),
    (f"https://{'a.' * 127}example/", "url_host"),
    ("https://☃.example/", "url_host"),
    ("https://xn--ü.example/", "url_host"),
    ("https://2130706433/", "url_host"),
    ("https://0x7f000001/", "url_host"),
    ("https://0X7F.0.0.1/", "url_host"),
    ("https://017700000001/", "url_host"),
    ("https://0177.0.0.1/", "url_host"),
    ("https://127.1/", "url_host"),
    ("https://127.0.1/", "url_host"),
    ("https://0/", "url_host"),
    ("https://0x/", "url_host"),
    ("https://1.2.3.4.5/", "url_host"),
    ("https://256.1.1.1/", "url_host"),
    ("https://127.0.0.1../", "url_host"),
    ("https://127\u30021/", "url_host"),
    ("https://[::1/", "url_invalid"),
    ("https://::1/", "url_invalid"),
    ("https://2001:4860:4860::8888/", "url_invalid"),
    ("https://[]/", "url_host"),
    ("https://[127.0.0.1]/", "url_host"),
    ("https://[::1]a/", "url_invalid"),
    ("https://[fe80::1%25lo]/", "url_host"),
    ("https://[fe80::1%lo]/", "url_host"),
    ("https://[::12345]/", "url_host"),
    ("https://[v1.a]/", "url_host"),
    ("https://example.com:0/", "url_port"),
    ("https://example.com:22/", "url_port"),
    ("https://example.com:25/", "url_port"),
    ("https://example.com:1023/", "url_port"),
    ("https://example.com:65536/", "url_port"),
    ("https://example.com:99999/", "url_port"),
    ("https://example.com:/", "url_invalid"),
    ("https://example.com:443:80/", "url_invalid"),
    ("https://example.com:-1/", "url_invalid"),
    ("https://example.com:+443/", "url_invalid"),
    ("https://example.com:\uff14\uff14\uff13/", "url_invalid"),
    ("https://example.com:123456/", "url_invalid"),
    ("https://example.com/" + "a" * LONGEST_URL, "url_too_long"),
]


@pytest.mark.parametrize(("text", "code"), REFUSED, ids=[ascii(text)[:60] for text, _ in REFUSED])
def test_what_has_no_one_reading_is_refused(text: str, code: str) -> None:
    with pytest.raises(InvalidInputError) as info:
        parse_webhook_url(text)
    (problem,) = info.value.fields
    assert (problem.pointer, problem.code) == ("/url", code)


NOT_PUBLIC = [
    "http://127.0.0.1/",
    "http://127.0.0.1./",
    "http://127\u30020\u30020\u30021/",
    "http://\uff11\uff12\uff17.0.0.1/",
    "http://localhost/",
    "http://LOCALHOST./",
    "http://\u24dbocalhost/",
    "http://a.localhost/",
    "http://0.0.0.0/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::FFFF:7F00:1]/",
    "http://[::]/",
    "http://[fe80::1]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[2002:a9fe:a9fe::1]/",
]


@pytest.mark.parametrize("text", NOT_PUBLIC, ids=ascii)
def test_an_address_that_is_not_public_is_refused_at_once(text: str) -> None:
    with pytest.raises(InvalidInputError) as info:
        check_webhook_url(text)
    assert info.value.fields[0].code == "url_not_public"


def test_an_allowed_network_and_names_are_taken() -> None:
    allowed = parse_networks(["127.0.0.0/8", "192.168.0.0/16"])
    for text in ("http://localhost:8000/", "http://192.168.1.5:8000/", "https://8.8.8.8/"):
        assert check_webhook_url(text, allowed) == parse_webhook_url(text)
    assert check_webhook_url("https://intranet/").address is None


@pytest.mark.parametrize(("text", "url"), READ, ids=[text for text, _ in READ])
def test_the_kept_spelling_reads_as_the_same(text: str, url: WebhookUrl) -> None:
    assert parse_webhook_url(url.text) == url


def test_the_host_header_names_a_port_that_is_not_the_schemes_own() -> None:
    assert parse_webhook_url("https://a.example:443").authority == "a.example"
    assert parse_webhook_url("https://a.example:8443").authority == "a.example:8443"
    assert parse_webhook_url("http://[2000::1]:80").authority == "[2000::1]"
    assert parse_webhook_url("http://[2000::1]:8080").authority == "[2000::1]:8080"


@given(st.text(max_size=60), st.text(max_size=60))
def test_whatever_is_taken_is_plain_ascii(authority: str, rest: str) -> None:
    try:
        url = parse_webhook_url(f"https://{authority}/{rest}")
    except InvalidInputError:
        return
    assert url.text.isascii()
    assert url.text.isprintable()
    assert " " not in url.text
    assert parse_webhook_url(url.text) == url
