"""Signatures, against those the real apps made, and the URLs they may have been made over."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_hub.adapters.envaya.signature import (
    MAX_CANDIDATE_URLS,
    SeenRequest,
    candidate_urls,
    compute_signature,
    find_matching_url,
    general_urls,
    verify_signature,
)
from tests.captures import Capture, load_captures

# A fragment does not reach an application, nor does a "?" with nothing behind it.
UNSEEN = {"url_fragment", "url_query_empty"}

CAPTURES = load_captures("envaya")
ANSWERED = [c for c in CAPTURES if c.entry["signature_valid"] and c.expect == "200"]


def fields_of(capture: Capture) -> list[tuple[str, str]]:
    fields = capture.entry["fields"]
    return [(name, fields[name]) for name in capture.entry["field_order"]]


def request_of(capture: Capture) -> SeenRequest:
    path, _, query = capture.target.partition("#")[0].partition("?")
    return SeenRequest("http", capture.find_header("host") or "", path, query)


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda c: c.name)
def test_a_recorded_request_has_the_recorded_signature(capture: Capture) -> None:
    signature = compute_signature(capture.server_url, fields_of(capture), capture.entry["password"])

    assert signature == capture.entry["signature_expected"]


def test_names_are_signed_in_javas_order_and_equal_ones_as_they_came() -> None:
    # Java compares UTF-16 units: U+1F600 (d83d...) comes before U+FFFD, other than by code point.
    given_order = [("\ufffd", "3"), ("b", "2"), ("\U0001f600", "2"), ("b", "1"), ("a", "")]
    signed_order = [("a", ""), ("b", "2"), ("b", "1"), ("\U0001f600", "2"), ("\ufffd", "3")]

    # printf 'http://h,a=,b=2,b=1,😀=2,�=3,pw' | openssl sha1 -binary | base64
    expected = "gjhHEnxOPI3K0VHu9Pyf7hzsQ/E="
    assert compute_signature("http://h", given_order, "pw") == expected
    assert compute_signature("http://h", signed_order, "pw") == expected


def test_half_a_surrogate_pair_is_signed_as_java_writes_it() -> None:
    assert compute_signature("u", [("a", "\ud83d!")], "p") == compute_signature(
        "u", [("a", "?!")], "p"
    )


@given(st.text(), st.lists(st.tuples(st.text(), st.text())), st.text())
def test_any_text_can_be_signed(url: str, fields: list[tuple[str, str]], password: str) -> None:
    assert len(compute_signature(url, fields, password)) == 28


@pytest.mark.parametrize(
    ("sent", "right"),
    [
        pytest.param("h4A/jnumHiVhWvs41ogOiANaiIc=", True, id="the last of them"),
        pytest.param("H4A/jnumHiVhWvs41ogOiANaiIc=", False, id="another case"),
        pytest.param("h4A/jnumHiVhWvs41ogOiANaiIc", False, id="cut"),
        pytest.param("", False, id="empty"),
        pytest.param("ÿ\x80é", False, id="beyond ASCII"),
        pytest.param("\ud800", False, id="half a surrogate pair"),
    ],
)
def test_a_header_is_compared_whatever_it_holds(sent: str, right: bool) -> None:
    expected = ["139CL71b7r1Zw/E2wcccWFviSlg=", "h4A/jnumHiVhWvs41ogOiANaiIc="]

    assert verify_signature(sent, iter(expected)) is right


def test_the_url_that_was_signed_is_named() -> None:
    fields = [("action", "test")]
    signature = compute_signature("https://h/envaya/", fields, "pw")
    urls = ["https://h/envaya", "https://h/envaya/", "http://h/envaya"]

    assert find_matching_url(signature, urls, fields, "pw") == "https://h/envaya/"
    assert find_matching_url(signature, urls, fields, "other") is None
    assert find_matching_url(signature, [], fields, "pw") is None


@pytest.mark.parametrize("capture", ANSWERED, ids=lambda c: c.name)
def test_a_real_phone_is_recognised_without_being_told_its_url(capture: Capture) -> None:
    urls = general_urls((), request_of(capture))
    found = find_matching_url(
        capture.entry["signature_header"], urls, fields_of(capture), capture.entry["password"]
    )

    assert found == (None if capture.name in UNSEEN else capture.server_url)


@pytest.mark.parametrize("capture", ANSWERED, ids=lambda c: c.name)
def test_a_device_with_its_url_is_recognised_whatever_the_proxy_says(capture: Capture) -> None:
    behind_proxy = SeenRequest("http", "10.0.0.7:8080", "/envaya")
    urls = candidate_urls(capture.server_url, ("https://elsewhere.example",), behind_proxy)

    assert urls[0] == capture.server_url
    assert find_matching_url(
        capture.entry["signature_header"], urls, fields_of(capture), capture.entry["password"]
    )


SEEN = SeenRequest("http", "inner:8080", "/envaya")


@pytest.mark.parametrize(
    ("public_url", "request_", "expected"),
    [
        pytest.param("https://h", SEEN, "https://h/envaya", id="base"),
        pytest.param("https://h/", SEEN, "https://h/envaya", id="base with a slash"),
        pytest.param("https://h/sms", SEEN, "https://h/sms/envaya", id="prefix taken off"),
        pytest.param(
            "https://h/sms",
            SeenRequest("http", "inner", "/sms/envaya"),
            "https://h/sms/envaya",
            id="prefix passed on",
        ),
        pytest.param("https://h/a/envaya", SEEN, "https://h/a/envaya", id="full URL"),
        pytest.param("https://h/envaya/", SEEN, "https://h/envaya", id="full URL with a slash"),
        pytest.param(
            "https://h",
            SeenRequest("http", "inner", "/p/acme/envaya/", "id=5"),
            "https://h/p/acme/envaya?id=5",
            id="project and query",
        ),
        pytest.param(
            "https://h", SeenRequest("http", "inner", "/"), "https://h", id="no path at all"
        ),
        pytest.param(
            "https://h",
            SeenRequest("http", "inner", "/", "id=5"),
            "https://h?id=5",
            id="query without path",
        ),
    ],
)
def test_a_public_url_is_brought_together_with_the_path(
    public_url: str, request_: SeenRequest, expected: str
) -> None:
    assert expected in general_urls([public_url], request_)[:4]


@pytest.mark.parametrize(
    ("request_", "typed"),
    [
        pytest.param(SeenRequest("http", "h", "/envaya"), "https://h/envaya", id="silent TLS"),
        pytest.param(SeenRequest("https", "h", "/envaya"), "http://h/envaya", id="claimed TLS"),
        pytest.param(
            SeenRequest("http", "h", "/envaya"), "https://h:443/envaya", id="port taken off"
        ),
        pytest.param(SeenRequest("http", "h:443", "/envaya"), "https://h/envaya", id="port added"),
        pytest.param(SeenRequest("http", "[::1]", "/envaya"), "http://[::1]:80/envaya", id="IPv6"),
        pytest.param(
            SeenRequest("http", "h:8080", "/envaya/"), "HTTP://h:8080/envaya", id="capitals"
        ),
        pytest.param(
            SeenRequest("http", "10.0.0.7", "/envaya", forwarded=("https", "hub.example:8443")),
            "https://hub.example:8443/envaya",
            id="trusted proxy",
        ),
    ],
)
def test_what_the_request_says_is_tried(request_: SeenRequest, typed: str) -> None:
    assert typed in general_urls((), request_)


def test_the_device_comes_first_then_the_hub_then_the_request() -> None:
    request = SeenRequest("http", "inner:8080", "/envaya", forwarded=("https", "outer:8443"))

    urls = candidate_urls("http://typed/x", ["https://public"], request)

    assert urls[:12] == (
        "http://typed/x",
        "http://typed/x/",
        "https://public/envaya",
        "https://public/envaya/",
        "http://inner:8080/envaya",
        "http://inner:8080/envaya/",
        "https://inner:8080/envaya",
        "https://inner:8080/envaya/",
        "https://outer:8443/envaya",
        "https://outer:8443/envaya/",
        "http://outer:8443/envaya",
        "http://outer:8443/envaya/",
    )
    assert urls[2:] == general_urls(["https://public"], request)


def test_the_slash_is_the_one_on_the_path() -> None:
    urls = candidate_urls("http://h/sms/?a=/", (), SEEN)

    assert urls[:2] == ("http://h/sms/?a=/", "http://h/sms?a=/")


@given(
    st.text(max_size=300),
    st.lists(st.text(max_size=30), max_size=40),
    st.builds(
        SeenRequest,
        scheme=st.sampled_from(["http", "https", "HTTPS", "ws", ""]),
        host=st.text(max_size=300),
        path=st.text(max_size=30),
        query=st.text(max_size=30),
        forwarded=st.none() | st.tuples(st.text(max_size=10), st.text(max_size=300)),
    ),
)
def test_candidates_are_few_and_distinct(
    server_url: str, public_urls: list[str], request_: SeenRequest
) -> None:
    urls = candidate_urls(server_url, public_urls, request_)

    assert len(urls) == len(set(urls)) <= MAX_CANDIDATE_URLS
    if server_url:
        assert urls[0] == server_url
