"""Phone numbers as people, networks and phones write them."""

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from gateway_hub.domain.numbers import (
    contact_key,
    dial_string,
    is_dialable,
    is_known_region,
    number_key,
    to_e164,
)

regions = st.sampled_from([None, "TZ", "US", "GB", "DE", "IT", "XX", ""])
number_like_texts = st.one_of(
    st.text(max_size=40),
    st.text(st.sampled_from("+0123456789 -.()/\u00a0"), max_size=25),
)


@pytest.mark.parametrize(
    ("number", "region", "e164"),
    [
        pytest.param("+255710000001", None, "+255710000001", id="international"),
        pytest.param("+255710000001", "US", "+255710000001", id="international, other region"),
        pytest.param("+255 710-000 001", None, "+255710000001", id="spaced"),
        pytest.param("+255(0)710/000.001", None, "+255710000001", id="trunk zero in parentheses"),
        pytest.param("\u00a0+255\u00a0710\u00a0000\u00a0001 ", None, "+255710000001", id="NBSP"),
        pytest.param("+12025550123", None, "+12025550123", id="North American test number"),
        pytest.param("+15555550100", None, "+15555550100", id="area code not in use"),
        pytest.param("+47 1234 5678", None, "+4712345678", id="eight digits not in use"),
        pytest.param("12345678", "NO", None, id="eight digits not in use, no country"),
        pytest.param("+44 7700 900 123", None, "+447700900123", id="British test number"),
        pytest.param("+977980000207", None, None, id="one digit short of a Nepalese number"),
        pytest.param("0710000001", "TZ", "+255710000001", id="national"),
        pytest.param("710000001", "TZ", "+255710000001", id="national without trunk zero"),
        pytest.param("255710000001", "TZ", "+255710000001", id="international without plus"),
        pytest.param("07700 900123", "GB", "+447700900123", id="national test number"),
        pytest.param("06 1234 5678", "IT", "+390612345678", id="Italian zero is kept"),
        pytest.param("00255710000001", "DE", "+255710000001", id="dialled abroad with 00"),
        pytest.param("011 255 710 000 001", "US", "+255710000001", id="dialled abroad with 011"),
        pytest.param("0710000001", None, None, id="national without a region"),
        pytest.param("0710000001", "XX", None, id="national in no region"),
        pytest.param("+255710000001", "XX", "+255710000001", id="international in no region"),
        pytest.param("15015", "TZ", None, id="short code"),
        pytest.param("22333", "DE", None, id="short code of possible length"),
        pytest.param("112", "DE", None, id="emergency number"),
        pytest.param("5550123", "US", None, id="local number without area code"),
        pytest.param("+15550123", None, None, id="local number with country code"),
        pytest.param("+1", None, None, id="country code alone"),
        pytest.param("+999123456789", None, None, id="no such country"),
        pytest.param("+2557100000011234", None, None, id="too long"),
        pytest.param("+49" + "1" * 15, None, None, id="possible but longer than E.164"),
        pytest.param("M-PESA", "TZ", None, id="alphanumeric sender"),
        pytest.param("1-800-FLOWERS", "US", None, id="letters for digits"),
        pytest.param("someone@example.com", "TZ", None, id="e-mail address"),
        pytest.param("+49 30 123456 ext 5", None, None, id="extension"),
        pytest.param("+49 30 123456 x5", None, None, id="short extension"),
        pytest.param("tel:+255710000001", None, None, id="URI"),
        pytest.param("*123#", "TZ", None, id="service code"),
        pytest.param("", "TZ", None, id="hidden caller"),
        pytest.param("+\uff12\uff15\uff15710000001", None, None, id="full-width digits"),
        pytest.param("+255710000001\n", None, None, id="line break"),
        pytest.param("+255710000001" + " " * 243, None, None, id="256 characters"),
    ],
)
def test_a_number_is_read_as_dialled_in_its_region(
    number: str, region: str | None, e164: str | None
) -> None:
    assert to_e164(number, region) == e164


def test_the_example_mobile_of_each_region_is_found_nationally_and_abroad() -> None:
    found = {}
    for region in phonenumbers.SUPPORTED_REGIONS - {"TA"}:  # Tristan da Cunha has no mobiles
        mobile = phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
        assert mobile is not None
        e164 = phonenumbers.format_number(mobile, PhoneNumberFormat.E164)
        national = phonenumbers.national_significant_number(mobile)
        found[region] = (to_e164(e164, None) == e164, to_e164(national, region) == e164)
    assert {region for region, both in found.items() if both != (True, True)} == set()


@given(number_like_texts, regions)
@example("+" * 300, "TZ")
@example("+1\ud800", None)
@settings(deadline=None)  # the first number of a region loads its metadata
def test_any_text_has_an_e164_form_or_none(number: str, region: str | None) -> None:
    e164 = to_e164(number, region)
    if e164 is not None:
        assert e164[0] == "+"
        assert e164.isascii()
        assert e164[1:].isdigit()
        assert 6 <= len(e164) <= 16
        assert is_dialable(number)


@pytest.mark.parametrize(
    ("region", "known"),
    [
        ("TZ", True),
        ("US", True),
        ("XK", True),
        ("tz", False),
        ("XX", False),
        ("EU", False),
        ("001", False),
        ("TZA", False),
        ("", False),
    ],
)
def test_a_region_is_two_capital_letters_with_a_numbering_plan(region: str, known: bool) -> None:
    assert is_known_region(region) is known


@pytest.mark.parametrize(
    ("number", "dialled"),
    [
        pytest.param("+255710000001", "+255710000001", id="international"),
        pytest.param(" +255 (710) 000-001 ", "+255710000001", id="spaces, parentheses, dash"),
        pytest.param("(+255) 710.000/001", "+255710000001", id="plus in parentheses, dot, slash"),
        pytest.param("0710\u00a0000\u00a0001", "0710000001", id="NBSP"),
        pytest.param("11", "11", id="two digits"),
        pytest.param("15015", "15015", id="short code"),
        pytest.param("1" * 20, "1" * 20, id="20 digits"),
        pytest.param("+12345", "+12345", id="plus and 5 digits"),
        pytest.param("+" + "1" * 20, "+" + "1" * 20, id="plus and 20 digits"),
    ],
)
def test_a_recipient_is_dialled_without_punctuation(number: str, dialled: str) -> None:
    assert is_dialable(number)
    assert dial_string(number) == dialled


@pytest.mark.parametrize(
    "number",
    [
        pytest.param("", id="empty"),
        pytest.param(" -()", id="punctuation alone"),
        pytest.param("1", id="one digit"),
        pytest.param("1" * 21, id="21 digits"),
        pytest.param("+", id="plus alone"),
        pytest.param("+1234", id="plus and 4 digits"),
        pytest.param("+" + "1" * 21, id="plus and 21 digits"),
        pytest.param("++255710000001", id="two plus signs"),
        pytest.param("255+710000001", id="plus in the middle"),
        pytest.param("M-PESA", id="letters"),
        pytest.param("*123#", id="service code"),
        pytest.param("+255710000001,+255710000002", id="two numbers"),
        pytest.param("+255710000001;ext=5", id="extension"),
        pytest.param("\uff10\uff17\uff11\uff10\uff10\uff10\uff10", id="full-width digits"),
        pytest.param("\uff0b255710000001", id="full-width plus"),
        pytest.param(
            "\u0660\u0667\u0661\u0660\u0660\u0660\u0660\u0660\u0660\u0661", id="Arabic-Indic digits"
        ),
        pytest.param("0710000001\n", id="line break"),
        pytest.param("0710\t000001", id="tab"),
        pytest.param("0710000001\x00", id="NUL"),
        pytest.param("11" + " " * 254, id="256 characters"),
    ],
)
def test_what_no_phone_can_dial_is_no_recipient(number: str) -> None:
    assert not is_dialable(number)


@pytest.mark.parametrize(
    ("number", "key"),
    [
        pytest.param("+255710000001", "255710000001", id="plus"),
        pytest.param("00255710000001", "255710000001", id="double zero"),
        pytest.param("255710000001", "255710000001", id="bare"),
        pytest.param("+255 710-000 001", "255710000001", id="as a person types it"),
        pytest.param("0710000001", "0710000001", id="national stays apart"),
        pytest.param("00", "00", id="double zero alone"),
        pytest.param(" Clinic Phone ", "clinic phone", id="no digit"),
        pytest.param("Phone 7", "7", id="digit among letters"),
        pytest.param("", "", id="empty"),
    ],
)
def test_a_phones_own_number_is_known_however_it_is_typed(number: str, key: str) -> None:
    assert number_key(number) == key


@pytest.mark.parametrize(
    ("contact", "region", "key"),
    [
        pytest.param("+255 710 000 001", None, "+255710000001", id="international"),
        pytest.param("0710 000 001", "TZ", "+255710000001", id="national"),
        pytest.param("0710-000-001", None, "0710000001", id="national without a region"),
        pytest.param("150 15", "TZ", "15015", id="short code"),
        pytest.param(" M-PESA ", "TZ", "M-PESA", id="alphanumeric sender"),
        pytest.param("someone@example.com", "TZ", "someone@example.com", id="e-mail address"),
        pytest.param("+1", "TZ", "+1", id="not dialable"),
        pytest.param("", "TZ", "", id="hidden caller"),
    ],
)
def test_messages_with_one_contact_share_a_key(contact: str, region: str | None, key: str) -> None:
    assert contact_key(contact, region) == key
