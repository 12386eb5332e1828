"""Credentials of a phone: what the app makes of a password, and what is no credential at all."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_hub.adapters.medic.credentials import (
    BasicCredentials,
    parse_basic,
    parse_query_identity,
)
from tests.captures import Capture, get_capture, load_captures

WITH_HEADER = [c for c in load_captures("medic") if c.find_header("Authorization")]
KNOWN = [c for c in WITH_HEADER if c.expect == "200"]
REFUSED = [c for c in WITH_HEADER if c.expect == "401"]


def basic(userinfo: bytes) -> str:
    return "Basic " + b64encode(userinfo).decode("ascii")


def parse(userinfo: bytes) -> BasicCredentials:
    credentials = parse_basic(basic(userinfo))
    assert credentials is not None
    return credentials


@pytest.mark.parametrize("capture", KNOWN, ids=lambda c: c.name)
def test_a_recorded_phone_is_recognised_by_what_its_person_typed(capture: Capture) -> None:
    credentials = parse_basic(capture.find_header("Authorization"))
    assert credentials is not None
    typed = capture.entry["credentials"]
    assert typed["username"] in credentials.usernames
    assert typed["password"].encode("utf-8") in credentials.passwords


@pytest.mark.parametrize("capture", REFUSED, ids=lambda c: c.name)
def test_a_recorded_phone_without_user_name_is_nobody(capture: Capture) -> None:
    assert parse_basic(capture.find_header("Authorization")) is None


@pytest.mark.parametrize(
    ("userinfo", "usernames", "passwords"),
    [
        pytest.param(b"gw:pw", ("gw",), ("pw",), id="plain"),
        pytest.param(b"gw:p:w:", ("gw",), ("p:w:",), id="colons in the password"),
        pytest.param(b"gw:", ("gw",), ("",), id="empty password"),
        pytest.param(b"gw", ("gw",), ("",), id="user name alone"),
        pytest.param(b"gw: pw ", ("gw",), (" pw ",), id="spaces kept"),
        pytest.param(b"gw:p%40ss", ("gw",), ("p%40ss", "p@ss"), id="percent-encoded"),
        pytest.param(b"gw:%C3%A4", ("gw",), ("%C3%A4", "ä"), id="percent-encoded UTF-8"),
        pytest.param(b"gw:%E4", ("gw",), ("%E4",), id="percent-encoded, not UTF-8"),
        pytest.param(b"gw:100%", ("gw",), ("100%",), id="bare percent sign"),
        pytest.param(b"gw:%2540", ("gw",), ("%2540", "%40"), id="decoded once only"),
        pytest.param(b"gw:a+b", ("gw",), ("a+b",), id="plus is a plus"),
        pytest.param(b"gw:p\xe4", ("gw",), ("pä",), id="ISO-8859-1 password"),
        pytest.param("gw:pä".encode(), ("gw",), ("pÃ¤", "pä"), id="UTF-8 password"),
        pytest.param(b"g\xe4:x", ("gä",), ("x",), id="ISO-8859-1 user name"),
        pytest.param("gä:x".encode(), ("gÃ¤", "gä"), ("x",), id="UTF-8 user name"),
        pytest.param(b"p%40:x", ("p%40",), ("x",), id="user name never decoded"),
    ],
)
def test_readings_are_distinct_and_the_likeliest_first(
    userinfo: bytes, usernames: tuple[str, ...], passwords: tuple[str, ...]
) -> None:
    credentials = parse(userinfo)
    assert credentials.usernames == usernames
    assert credentials.passwords == tuple(p.encode("utf-8") for p in passwords)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("basic Z3c6cHc=", id="lower case"),
        pytest.param("BASIC Z3c6cHc=", id="upper case"),
        pytest.param("  Basic   Z3c6cHc=\t", id="white space around"),
    ],
)
def test_case_of_the_scheme_and_outer_white_space_do_not_matter(header: str) -> None:
    assert parse_basic(header) == BasicCredentials(b"gw", b"pw")


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(None, id="no header"),
        pytest.param("", id="empty"),
        pytest.param("Basic", id="scheme alone"),
        pytest.param("Basic ", id="no token"),
        pytest.param("Bearer Z3c6cHc=", id="another scheme"),
        pytest.param("Z3c6cHc=", id="no scheme"),
        pytest.param("Basic Z3c6cHc", id="padding missing"),
        pytest.param("Basic Z3c6!cHc=", id="not base64"),
        pytest.param("Basic Z3c6 cHc=", id="space inside"),
        pytest.param("Basic Z3c6cHc=\xe4", id="byte beyond ASCII"),
        pytest.param(basic(b":pw"), id="empty user name"),
        pytest.param(basic(b":"), id="colon alone"),
        pytest.param(basic(b"g\0w:pw"), id="NUL in the user name"),
        pytest.param(basic(b"gw\n:pw"), id="line break in the user name"),
        pytest.param(basic(b"gw:" + b"x" * 10_000), id="absurdly long"),
    ],
)
def test_what_names_nobody_is_no_credential(header: str | None) -> None:
    assert parse_basic(header) is None


@given(st.binary().map(lambda raw: raw.decode("latin-1")), st.binary())
def test_no_header_and_no_userinfo_breaks_the_reader(header: str, userinfo: bytes) -> None:
    parse_basic(header)
    parse_basic(f"Basic {header}")
    credentials = parse_basic(basic(userinfo))
    if credentials is not None:
        assert credentials.usernames[0].encode("latin-1") == userinfo.split(b":")[0]
        assert 1 <= len(credentials.passwords) <= 3
        assert len(set(credentials.passwords)) == len(credentials.passwords)


def test_a_password_is_not_shown_in_a_representation() -> None:
    assert "topSecret" not in repr(parse(b"gateway:topSecret"))


@pytest.mark.parametrize(
    ("query", "identity"),
    [
        pytest.param(b"id=5&h=0a1b2c3d", ("5", "0a1b2c3d"), id="as the PHP class writes it"),
        pytest.param(b"h=t&lang=en&id=gw", ("gw", "t"), id="any order, others ignored"),
        pytest.param(b"id=g%C3%A4+w&h=a%2Bb", ("gä w", "a+b"), id="percent-encoded"),
        pytest.param(b"id=g\xc3\xa4&h=t", ("gä", "t"), id="raw UTF-8"),
        pytest.param(b"id=a%3D=b&h==t", ("a==b", "=t"), id="split at the first equals sign"),
        pytest.param(b"", None, id="empty"),
        pytest.param(b"id=5", None, id="no token"),
        pytest.param(b"h=t", None, id="no user name"),
        pytest.param(b"id=&h=t", None, id="empty user name"),
        pytest.param(b"id=5&h=", None, id="empty token"),
        pytest.param(b"id&h", None, id="no values"),
        pytest.param(b"id=5&id=6&h=t", None, id="two user names"),
        pytest.param(b"id=5&id=&h=t", None, id="two user names, one empty"),
        pytest.param(b"id=5&h=t&%68=u", None, id="two tokens, one hidden"),
        pytest.param(b"ID=5&H=t", None, id="upper case"),
        pytest.param(b"id=%E4&h=t", None, id="not UTF-8"),
        pytest.param(b"id=5%00&h=t", None, id="NUL in the user name"),
        pytest.param(b"id=5&h=" + b"t" * 10_000, None, id="absurdly long"),
    ],
)
def test_a_query_is_an_identity_only_when_both_parts_are_there_once(
    query: bytes, identity: tuple[str, str] | None
) -> None:
    assert parse_query_identity(query) == identity


def test_a_recorded_query_without_token_is_no_identity() -> None:
    target = get_capture("medic", "url_query_auth").target
    assert parse_query_identity(target.partition("?")[2].encode()) is None


@given(st.binary())
def test_any_query_is_an_identity_or_none(query: bytes) -> None:
    identity = parse_query_identity(query)
    assert identity is None or all(identity)
