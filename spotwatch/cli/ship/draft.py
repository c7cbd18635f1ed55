"""What passes between the process that reads a volume and the one that waits for it: two files without names.

The draft is the manifest as it is to be published, or why there is none. The progress is one line that is written over
and over again; whoever reads it sees the old one, the new one or, for a moment, neither.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from spotwatch.core import errors
from spotwatch.core.errors import SpotwatchError
from spotwatch.core.reading import parse_json_object
from spotwatch.ship.manifest import Manifest

_LINE: Final = 64
"""Bytes of the progress."""

_KINDS: Final[Mapping[str, type[SpotwatchError]]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, SpotwatchError) and kind is not errors.SettingsError
}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the reading has come: bytes of content, of how many; None as long as that is being found out."""

    done: int = 0
    total: int | None = None


class ProgressFile:
    """The progress in a file.

    Args:
        descriptor: of the file; it stays the caller's.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, progress: Progress) -> None:
        """Tell it."""
        line = json.dumps([progress.done, progress.total]).ljust(_LINE)
        os.pwrite(self._descriptor, line.encode(), 0)

    def read(self) -> Progress:
        """What was told last."""
        try:
            done, total = json.loads(os.pread(self._descriptor, _LINE, 0))
        except ValueError:
            return Progress()
        return Progress(done, total)


def refusal(error: SpotwatchError) -> dict[str, str]:
    """An error, for another process: the draft where there is no manifest."""
    return {"error": type(error).__name__, "message": error.message, "hint": error.hint}


def refused(told: Mapping[str, str]) -> SpotwatchError:
    """The error that `refusal` has told of.

    Raises:
        KeyError: there is no such error.
    """
    return _KINDS[told["error"]](told["message"], hint=told["hint"])


def manifest_in(draft: bytes, exit_code: int) -> Manifest:
    """The manifest in a draft.

    Raises:
        SpotwatchError: there is none; the error that was the reason, or a bug.
    """
    if exit_code == 0:
        return Manifest.decode(draft)
    try:
        error = refused(parse_json_object(draft.decode()))
    except (ValueError, KeyError):
        message = f"the process that reads the volume ended with {exit_code}"
        raise SpotwatchError(message, hint="see what it says on standard error") from None
    raise error
