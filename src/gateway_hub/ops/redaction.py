"""Secrets in what is shown: values hidden by the name they go by, or by how they look."""

import re
from functools import lru_cache

HIDDEN = "[hidden]"

_SECRET_NAMES = frozenset(
    {"authorization", "cookie", "credential", "credentials", "key", "keys", "passwd", "password"}
    | {"passwords", "secret", "secrets", "signature", "token", "tokens"}
)
_WORDS = re.compile(r"[^a-z]+")

_API_KEY = re.compile(r"\b(ghk_|whsec_)[A-Za-z0-9+/=_-]+")
_AUTHORIZATION = re.compile(r"\b(Basic|Bearer)\s+[^\s\"',;]+", re.IGNORECASE)
# A password may hold anything, so all up to the last @ of the run goes; the limit keeps a hostile
# line from being searched again from each of its "://".
_USERINFO = re.compile(r"://(?:[^\s/?#@:]{0,256}:\S{0,256}|[^\s/?#@]{1,256})@")


@lru_cache(maxsize=1024)
def is_secret_name(name: str) -> bool:
    """Say whether a value called *name* is a secret: ``password``, ``api_key``, ``X-Auth-Token``.

    The last word decides: ``key_id`` names a key and gives nothing away.
    """
    words = [word for word in _WORDS.split(name.lower()) if word]
    return bool(words) and words[-1] in _SECRET_NAMES


def redact(text: str) -> str:
    """Return *text* without the keys, ``Authorization`` values and URL passwords in it."""
    if "_" in text:
        text = _API_KEY.sub(rf"\1{HIDDEN}", text)
    if "@" in text:
        text = _USERINFO.sub(f"://{HIDDEN}@", text)
    return _AUTHORIZATION.sub(rf"\1 {HIDDEN}", text)
