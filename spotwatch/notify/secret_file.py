"""Files with secrets: the URLs of webhooks, tokens in headers. What they hold is never told anybody."""

from pathlib import Path

from spotwatch.core.errors import InputError


def read_lines(path: Path) -> list[str]:
    """The lines of a file, without empty ones and comments (``#``).

    Raises:
        InputError: it cannot be read, or holds nothing.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", hint="see its path and its owner") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text", hint="save it as UTF-8") from None
    found = [line for line in lines if line and not line.startswith("#")]
    if not found:
        raise InputError(f"{path} holds nothing", hint="write what is secret into it, one a line")
    return found


def redacted(text: str, *secrets: str) -> str:
    """A text without these secrets, as far as it has them word for word."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
