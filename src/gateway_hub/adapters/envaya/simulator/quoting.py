"""Texts in a form as Java writes them (``java.net.URLEncoder``)."""

from functools import lru_cache
from urllib.parse import quote_plus


@lru_cache(maxsize=8192)
def quote_as_java(text: str) -> str:
    """Return *text* in percent-encoded UTF-8, with ``?`` for half a surrogate pair."""
    return quote_plus(text, safe="*", errors="replace").replace("~", "%7E")
