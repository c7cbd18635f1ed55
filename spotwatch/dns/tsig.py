"""The key with which updates are signed, out of the file that the name server's own tools write."""

import binascii
import re
from pathlib import Path
from typing import Final

import dns.exception
import dns.tsig

from spotwatch.core.errors import InputError

_FORM: Final = re.compile(r'key\s+"?(?P<name>[^\s"{;]+)"?\s*\{(?P<body>[^}]*)\}\s*;?', re.DOTALL)
_COMMENT: Final = re.compile(r"^\s*(//|#)[^\n]*$|/\*.*?\*/", re.DOTALL | re.MULTILINE)
"""Only whole lines: a secret may have `//` in it."""

_ALGORITHMS: Final = frozenset(
    {
        "hmac-md5", "hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha256-128", "hmac-sha384", "hmac-sha384-192",
        "hmac-sha512", "hmac-sha512-256",
    }
)  # fmt: skip
"""RFC 8945, section 6."""

_HINT: Final = "write it with 'tsig-keygen NAME > FILE', and give the name server the same key"


def read_key(path: Path) -> dns.tsig.Key:
    """The key in a file in the form of `tsig-keygen`, which `named.conf` and `nsupdate -k` take too.

    Raises:
        InputError: it cannot be read, or holds no such key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError(f"{path} cannot be read: {reason}", hint=f"correct --key-file, or {_HINT}") from error
    match = _FORM.search(_COMMENT.sub("", text))
    if match is None:
        raise InputError(f'{path} holds no key: it has to say key "NAME" {{ … }}', hint=_HINT)
    algorithm = _value(path, match["body"], "algorithm").lower()
    if algorithm not in _ALGORITHMS:
        raise InputError(
            f'{path}: "{algorithm}" is no algorithm of TSIG', hint=f"one of {', '.join(sorted(_ALGORITHMS))}"
        )
    known = "HMAC-MD5.SIG-ALG.REG.INT" if algorithm == "hmac-md5" else algorithm
    try:
        return dns.tsig.Key(match["name"], _value(path, match["body"], "secret"), known)
    except (binascii.Error, dns.exception.DNSException, ValueError) as error:
        raise InputError(f"{path}: the key cannot be used: {error}", hint=_HINT) from error


def _value(path: Path, body: str, word: str) -> str:
    match = re.search(rf'\b{word}\s+"?([^\s";]+)"?\s*;', body)
    if match is None:
        raise InputError(f"{path}: the key has no {word}", hint=_HINT)
    return match[1]
