"""Phone numbers: what may be dialled, and the forms under which two spellings are one number.

A number is always kept as given; what is made here stands beside it.
"""

import re
from functools import lru_cache

import phonenumbers
from phonenumbers import CountryCodeSource, PhoneNumber, PhoneNumberFormat, ValidationResult

MAX_NUMBER_LENGTH = 255
_REMEMBERED = 20_000  # the same contacts come again and again, and reading one takes 30 µs
_PUNCTUATION = str.maketrans("", "", " \u00a0-.()/")
# Python's \d would let digits of other scripts through.
_DIALABLE = re.compile(r"\+[0-9]{5,20}|[0-9]{2,20}")
_E164 = re.compile(r"\+[1-9][0-9]{4,14}")
_NOT_DIGITS = re.compile(r"[^0-9]+")
_LONGER_THAN_SHORT_CODES = 9
_INTERNATIONAL_SOURCES = frozenset(
    {CountryCodeSource.FROM_NUMBER_WITH_PLUS_SIGN, CountryCodeSource.FROM_NUMBER_WITH_IDD}
)


def is_known_region(region: str) -> bool:
    """Say whether *region* is an ISO 3166 alpha-2 code, in upper case, with a numbering plan."""
    return region in phonenumbers.SUPPORTED_REGIONS


def dial_string(number: str) -> str:
    """Return *number* as handed to a phone, without the punctuation people write.

    The CHT app fails a number with parentheses as ``destination.invalid``.
    """
    return number.translate(_PUNCTUATION)


def is_dialable(number: str) -> bool:
    """Say whether *number* may be a recipient: a phone number or a short code, however spaced."""
    return len(number) <= MAX_NUMBER_LENGTH and _DIALABLE.fullmatch(dial_string(number)) is not None


@lru_cache(_REMEMBERED)
def to_e164(number: str, region: str | None) -> str | None:
    """Return *number* in E.164, read as dialled in *region*; None if it has no such form.

    Alphanumeric senders, short codes, addresses and numbers with an extension have none.
    """
    if not is_dialable(number):
        return None
    try:
        parsed = phonenumbers.parse(dial_string(number), region, keep_raw_input=True)
    except phonenumbers.NumberParseException:
        return None
    if not _is_subscriber(parsed):
        return None
    formatted = phonenumbers.format_number(parsed, PhoneNumberFormat.E164)
    return formatted if _E164.fullmatch(formatted) else None


def number_key(number: str) -> str:
    """Return the key under which two ways of typing a phone's own number are equal.

    Its ASCII digits without a leading ``00``; without any digit, the stripped lower-case text.
    """
    digits = _NOT_DIGITS.sub("", number)
    return digits.removeprefix("00") or digits or number.strip().lower()


def contact_key(number: str, region: str | None) -> str:
    """Return the key under which messages with one contact belong together.

    The E.164 form if there is one, else the dial string of what can be dialled, else the
    stripped text: a sender's name, an address, or nothing for a hidden caller.
    """
    e164 = to_e164(number, region)
    if e164 is not None:
        return e164
    return dial_string(number) if is_dialable(number) else number.strip()


def _is_subscriber(parsed: PhoneNumber) -> bool:
    """Say whether *parsed* has a length its country gives to whole numbers.

    Length alone, since numbering plans grow faster than their metadata. Only what is short and
    typed without a country must also be in use: there ``12345`` may be a short code.
    """
    if phonenumbers.is_possible_number_with_reason(parsed) != ValidationResult.IS_POSSIBLE:
        return False
    if parsed.country_code_source in _INTERNATIONAL_SOURCES:
        return True
    digits = phonenumbers.national_significant_number(parsed)
    return len(digits) >= _LONGER_THAN_SHORT_CODES or phonenumbers.is_valid_number(parsed)


def handover_number(number: str, e164: str | None) -> str:
    """Return the form of *number* that a phone is given to dial.

    A number typed with its country code goes out in E.164, since ``+44 (0)7700…`` would keep its
    zero otherwise; a national one or a short code as the SIM's own network knows it.
    """
    if e164 is not None and number.lstrip().startswith("+"):
        return e164
    return dial_string(number)
