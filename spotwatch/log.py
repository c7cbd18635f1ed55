"""The log: structlog, set up once, one record a happening, on standard error.

Each record has a constant name (``hook-ended``) and values with units (``seconds=3.2``). Under systemd the line begins
with its priority (sd-daemon(3)) and leaves the time to the journal.

What this survives: a full disk behind standard error, a reader that has gone, a standard error that is closed. Whoever
logs is never told, because the drain matters more than what is said about it.
"""

import json
import logging
import os
import select
import sys
from collections.abc import Mapping
from contextlib import suppress
from io import FileIO, TextIOWrapper
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from spotwatch.core.settings import LogFormat, LogLevel, LogSettings

Log = structlog.typing.FilteringBoundLogger

_PRIORITY = {"debug": "<7>", "info": "<6>", "warning": "<4>", "error": "<3>"}
"""The journal's levels: LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERR."""

READER_SECONDS = 0.2
"""How long a reader of the log may be busy before a record is lost to it; one that has stalled is not waited for."""

_LEVEL = {
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARNING: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
}


def make_log(settings: LogSettings, *, stream: TextIO | None = None, environ: Mapping[str, str] = os.environ) -> Log:
    """A log that writes as the settings say, to `stream` or to standard error."""
    stream = stream or _standard_error()
    log: Log = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=_processors(settings, journal="JOURNAL_STREAM" in environ, colors=stream.isatty()),
        wrapper_class=structlog.make_filtering_bound_logger(_LEVEL[settings.level]),
        cache_logger_on_first_use=True,
    )
    return log


class _LossyFile(FileIO):
    """A file that loses what cannot be written: on a full disk, to a reader that is gone, to one that has stalled.

    It has no buffer, so nothing is kept to fail at exit. A pipe that is ready takes at least `PIPE_BUF` bytes without
    blocking (pipe(7)), so no more is written at once: a drain must not wait for somebody who does not read its log.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._ready = select.poll()
        self._ready.register(descriptor, select.POLLOUT)
        self._patience = READER_SECONDS
        self._begin = b""

    def write(self, data: Any, /) -> int:
        """Write all of it, or as much as is taken soon."""
        whole = memoryview(self._begin + bytes(data))
        rest = whole
        with suppress(OSError):
            while rest and self._ready.poll(self._patience * 1000):
                rest = rest[super().write(rest[: select.PIPE_BUF]) or len(rest) :]
        self._patience = 0.0 if rest else READER_SECONDS
        self._begin = b"\n" if 0 < len(rest) < len(whole) else b""  # half a line is there
        return len(data)


def _standard_error() -> TextIO:
    """Standard error, or nothing where we were started without."""
    descriptor = os.open(os.devnull, os.O_WRONLY) if sys.__stderr__ is None else sys.__stderr__.fileno()
    return TextIOWrapper(_LossyFile(descriptor), encoding="utf-8", errors="backslashreplace", write_through=True)


def _processors(settings: LogSettings, *, journal: bool, colors: bool) -> list[Processor]:
    level = structlog.processors.add_log_level
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True, key="time")
    trace = structlog.processors.format_exc_info
    if settings.format is LogFormat.JSON:
        return [_leave_out_nothing_said, level, stamp, trace, structlog.processors.JSONRenderer()]
    if journal:
        return [_leave_out_nothing_said, level, trace, _write_documents_as_json, _render_for_journal]
    plain = structlog.dev.plain_traceback
    console = structlog.dev.ConsoleRenderer(
        colors=colors, pad_event_to=0, sort_keys=False, timestamp_key="time", exception_formatter=plain
    )
    return [_leave_out_nothing_said, level, stamp, _write_documents_as_json, console]


def _leave_out_nothing_said(_logger: WrappedLogger, _name: str, record: EventDict) -> EventDict:
    """A value that is not known is not written down."""
    return {key: value for key, value in record.items() if value is not None and value != ""}


def _write_documents_as_json(_logger: WrappedLogger, _name: str, record: EventDict) -> EventDict:
    """A report that goes to a log of text is still JSON there."""
    return {key: json.dumps(value) if isinstance(value, dict) else value for key, value in record.items()}


def _render_for_journal(_logger: WrappedLogger, _name: str, record: EventDict) -> str:
    """Priority, name, values; every line of a record carries the priority, or the journal would take it for info."""
    priority = _PRIORITY.get(record.pop("level", "info"), "<6>")
    name, trace = record.pop("event"), record.pop("exception", "")
    words = " ".join(f"{key}={_value(value)}" for key, value in record.items())
    lines = f"{name} {words}".rstrip().splitlines() + trace.splitlines()
    return "\n".join(priority + line for line in lines)


def _value(value: object) -> str:
    text = str(value)
    return repr(text) if not text or any(character.isspace() for character in text) else text
