"""From a value in a TOML file to the value of a setting.

Each reader takes what the TOML parser found and returns what the program works with, or raises ValueError with a
sentence that says what to write instead, or with several.
"""

import json
import re
from collections.abc import Callable
from enum import StrEnum
from ipaddress import ip_address
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from spotwatch.core.quantity import parse_duration, parse_size

Reader = Callable[[object], Any]

_HOST_NAME = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*")

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
"""The names of today's buckets, and of those that are older than the rules (S3 user guide, "Bucket naming rules")."""

_Word = TypeVar("_Word", bound=StrEnum)


def printable(text: str) -> str:
    """A text with its control characters escaped, so that it is one line and does nothing to a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def read_text(value: object, example: str = "name") -> str:
    """Any text that is not empty; `example` is what somebody who has written none is shown."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f'write a text in quotes, such as "{example}"')
    return value


def read_switch(value: object) -> bool:
    """``true`` or ``false``."""
    if not isinstance(value, bool):
        raise ValueError("write true or false, without quotes")  # noqa: TRY004 (one kind of error for all readers)
    return value


def read_integer(value: object) -> int:
    """A whole number."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("write a whole number, without quotes")  # noqa: TRY004 (one kind of error for all readers)
    return value


def read_count(value: object) -> int:
    """A whole number, one at the least."""
    count = read_integer(value)
    if count < 1:
        raise ValueError("write a whole number of at least 1")
    return count


def read_duration(value: object) -> float:
    """A duration in seconds, zero allowed."""
    if not isinstance(value, str):
        raise ValueError('write a duration in quotes with its unit, such as "20s"')  # noqa: TRY004 (as above)
    return parse_duration(value)


def read_positive_duration(value: object) -> float:
    """A duration that is longer than nothing."""
    seconds = read_duration(value)
    if seconds <= 0:
        raise ValueError('write a duration longer than zero, such as "20s"')
    return seconds


def read_interval(value: object) -> float:
    """How often to ask the metadata service: 100 ms at the least, since its packets are rationed."""
    seconds = read_duration(value)
    if seconds < 0.1:
        raise ValueError('write an interval of at least "100ms"; the metadata service allows 1,024 packets a second')
    return seconds


def read_optional_interval(value: object) -> float | None:
    """An interval, or ``"off"``."""
    if value == "off":
        return None
    try:
        return read_interval(value)
    except ValueError as error:
        raise ValueError(f'{error}, or "off"') from None


def read_size(value: object) -> int:
    """A size in bytes."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError('write a size, such as "1MiB"')  # noqa: TRY004 (as above)
    return parse_size(value)


def read_absolute_path(value: object) -> str:
    """A path that means the same whatever the working directory is."""
    path = read_text(value, "/srv")
    if not path.startswith("/"):
        raise ValueError(f'write an absolute path; "{path}" depends on where the daemon was started')
    return path


def read_endpoint(value: object) -> str:
    """The base address of a metadata service: ``http://HOST[:PORT]`` and nothing more."""
    text = read_text(value, "http://169.254.169.254").strip().rstrip("/")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    bracketed = f"[{host}]" if host and ":" in host else host
    nothing_more = f"http://{bracketed}" if port is None else f"http://{bracketed}:{port}"
    if not host or not _is_host(host) or port == 0 or text.lower() != nothing_more:
        raise ValueError('write "http://169.254.169.254", "http://[fd00:ec2::254]" or the address of a fake service')
    return text


def read_destination(value: object) -> str:
    """Where objects go: ``s3://BUCKET[/PREFIX]`` or ``file:///DIRECTORY``."""
    text = read_text(value, "s3://my-logs/spot").strip()
    parts = urlsplit(text)
    is_bucket = parts.scheme == "s3" and _BUCKET.fullmatch(parts.netloc)
    is_directory = parts.scheme == "file" and not parts.netloc and parts.path.startswith("/")
    if not (is_bucket or is_directory) or parts.query or parts.fragment:
        raise ValueError(f'"{text}" is no destination; write "s3://BUCKET/PREFIX" or "file:///DIRECTORY"')
    return text


def or_nothing(read: Reader) -> Reader:
    """A reader that takes an empty text, too, and leaves it as it is."""

    def read_or_nothing(value: object) -> Any:
        return "" if value == "" else read(value)

    return read_or_nothing


def _is_host(host: str) -> bool:
    """An IP address, or a name of plain labels; others would need a resolver's rules to judge them."""
    try:
        return bool(ip_address(host))
    except ValueError:
        return _HOST_NAME.fullmatch(host) is not None and "xn--" not in host


def read_words(value: object, example: str = '["/usr/local/bin/stop-taking-jobs", "--now"]') -> tuple[str, ...]:
    """A list of texts, at least one; `example` is what somebody who has written something else is shown."""
    if not isinstance(value, list) or not value or not all(isinstance(word, str) for word in value):
        raise ValueError(f"write a list of texts, such as {example}")
    return tuple(value)


def read_one_of(words: type[_Word]) -> Callable[[object], _Word]:
    """A reader for one of a fixed set of words."""

    def read(value: object) -> _Word:
        try:
            return words(str(value))
        except ValueError:
            choices = ", ".join(f'"{word}"' for word in words)
            raise ValueError(f"write one of {choices}") from None

    return read


def parse_json_object(text: str) -> dict[str, Any]:
    """The object in a JSON text that a file of ours should hold.

    Raises:
        ValueError: it holds something else, or nothing that can be read.
    """
    try:
        document = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 (as above)
    return document


Text = Annotated[str, read_text]
OptionalText = Annotated[str, or_nothing(read_text)]
Switch = Annotated[bool, read_switch]
Seconds = Annotated[float, read_duration]
PositiveSeconds = Annotated[float, read_positive_duration]
Interval = Annotated[float, read_interval]
OptionalInterval = Annotated[float | None, read_optional_interval]
Bytes = Annotated[int, read_size]
AbsolutePath = Annotated[str, read_absolute_path]
Endpoint = Annotated[str, read_endpoint]
