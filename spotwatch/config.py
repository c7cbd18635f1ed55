"""The settings files: TOML in, frozen settings out, and every mistake at once.

``spotwatch.toml`` is read first, then the drop-ins ``spotwatch.d/*.toml`` beside it in name order. A later file's keys
replace an earlier one's; its hooks are added. Unknown keys are mistakes, since a misspelt ``reserve`` would otherwise
cost the log lines that it was to save.
"""

import errno
import sys
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

from spotwatch.core.errors import SettingsError
from spotwatch.core.event import EVENT_NAMES, EventKind
from spotwatch.core.hook import DEFAULT_EVENTS, Hook, OnFailure
from spotwatch.core.quantity import format_duration
from spotwatch.core.reading import (
    Reader,
    printable,
    read_absolute_path,
    read_duration,
    read_integer,
    read_one_of,
    read_positive_duration,
    read_switch,
    read_text,
    read_words,
)
from spotwatch.core.settings import Settings

DEFAULT_PATH: Final = Path("/etc/spotwatch/spotwatch.toml")

_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")

_LONGEST_NAME = 100
"""A file system takes 255 bytes, and a hook's name shares them."""

_SHORTEST_KEY_PATH = 2
"""A table and a key in it."""


def load(path: Path | None, *, builtins: Collection[str], overrides: Sequence[str] = ()) -> Settings:
    """The settings in `path` and its drop-ins.

    Args:
        path: the main file; None means `DEFAULT_PATH`, which may be missing.
        builtins: the names that ``use`` may have.
        overrides: ``KEY.PATH=VALUE`` from the command line, stronger than any file.

    Raises:
        SettingsError: with every mistake in every file.
    """
    reader = _SettingsReader(builtins)
    main = path or DEFAULT_PATH
    reader.read_file(main, required=path is not None)
    try:
        for file in drop_ins(main):
            reader.read_file(file, required=True)
    except OSError as error:
        reader.mistakes.append(f"{drop_in_directory(main)}: cannot be listed: {error.strerror}")
    for override in overrides:
        reader.read_override(override)
    return reader.settings()


def drop_in_directory(path: Path) -> Path:
    """Where the drop-ins of a settings file are: ``spotwatch.d`` beside ``spotwatch.toml``."""
    return path.parent / f"{path.stem}.d"


def drop_ins(path: Path) -> list[Path]:
    """The drop-ins of a settings file, in the order in which they are read; hidden files are none.

    Raises:
        OSError: their directory is there and cannot be listed.
    """
    try:
        entries = sorted(drop_in_directory(path).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [entry for entry in entries if entry.suffix == ".toml" and not entry.name.startswith(".")]


class _SettingsReader:
    """Collects values and mistakes file by file."""

    def __init__(self, builtins: Collection[str]) -> None:
        self.mistakes: list[str] = []
        self._builtins = builtins
        self._values: dict[str, object] = {}
        self._hooks: list[Hook] = []
        self._seen: dict[str, str] = {}

    def read_file(self, path: Path, *, required: bool) -> None:
        """Take in one file."""
        try:
            document = tomllib.loads(_read_regular(path))
        except FileNotFoundError:
            if required:
                self.mistakes.append(f"{path}: there is no such file")
        except UnicodeDecodeError:
            self.mistakes.append(f"{path}: this is not UTF-8 text; save it as UTF-8")
        except OSError as error:
            self.mistakes.append(f"{path}: cannot be read: {error.strerror}")
        except (ValueError, RecursionError) as error:  # besides TOMLDecodeError: numbers and nesting without end
            self.mistakes.append(f"{path}: this is not TOML: {error}")
        else:
            self._read_document(str(path), document)

    def read_override(self, override: str) -> None:
        """Take in one ``KEY.PATH=VALUE``; the value is TOML, or a bare text."""
        key, separator, text = override.partition("=")
        parts = key.strip().split(".")
        if parts[0] == "hook":
            self.mistakes.append(f"--set {override}: a hook cannot be set here; write it into a file")
        elif not separator or len(parts) < _SHORTEST_KEY_PATH:
            self.mistakes.append(f"--set {override}: write TABLE.KEY=VALUE, such as metadata.poll_interval=1s")
        else:
            value = _override_value(text)
            for part in reversed(parts):
                value = {part: value}
            self._read_document("--set", value)

    def settings(self) -> Settings:
        """The settings, if nothing was wrong."""
        built: Settings = _build(Settings, self._values, "")
        for hook in self._hooks:
            if hook.start_before is not None and hook.start_before <= built.drain.margin:
                self.mistakes.append(
                    f"{self._seen[hook.name]} ({hook.name}): start_before: lies within drain.margin "
                    f"({format_duration(built.drain.margin)}), when every hook must be over; write a longer time"
                )
        if self.mistakes:
            raise SettingsError([printable(mistake) for mistake in self.mistakes])
        return replace(built, hooks=tuple(self._hooks))

    def _read_document(self, source: str, document: Mapping[str, object]) -> None:
        hooks = document.get("hook", [])
        self._read_table(source, "", {key: value for key, value in document.items() if key != "hook"}, Settings)
        if not isinstance(hooks, list):
            self.mistakes.append(f"{source}: hook: write [[hook]], with two brackets, once for each hook")
            return
        for index, table in enumerate(hooks, start=1):
            self._read_hook(f"{source}: hook {index}", table)

    def _read_table(self, source: str, prefix: str, table: Mapping[str, object], kind: type) -> None:
        hints = get_type_hints(kind, include_extras=True)
        known = [name for name in hints if name != "hooks"]
        for key, value in table.items():
            path = f"{prefix}{key}"
            if key not in known:
                self.mistakes.append(f"{source}: {path}: {_unknown(key, [*known, *([] if prefix else ['hook'])])}")
            elif not is_dataclass(hints[key]):
                self._read_value(source, path, value, _reader_of(hints[key]))
            elif isinstance(value, dict):
                self._read_table(source, f"{path}.", value, hints[key])
            else:
                self.mistakes.append(f"{source}: {path}: this is a table; write [{path}] and its keys below")

    def _read_value(self, source: str, path: str, value: object, read: Reader) -> None:
        try:
            self._values[path] = read(value)
        except ValueError as error:
            self.mistakes += [f"{source}: {path}: {mistake}" for mistake in error.args]

    def _read_hook(self, source: str, table: object) -> None:
        if not isinstance(table, dict):
            self.mistakes.append(f"{source}: write [[hook]] and its keys below")
            return
        name = table.get("name")
        place = f"{source} ({name})" if isinstance(name, str) and name else source
        values, mistakes = _hook_values(table)
        mistakes += list(_hook_contradictions(values, table, self._builtins))
        if isinstance(name, str) and name in self._seen:
            mistakes.append(f'name: "{name}" is also the name of {self._seen[name]}; every hook needs its own')
        elif isinstance(name, str):
            self._seen[name] = source
        self.mistakes += [f"{place}: {mistake}" for mistake in mistakes]
        if not mistakes:
            self._hooks.append(_hook(values))


def _read_regular(path: Path) -> str:
    """The text of a file; one that may have no end or keep us waiting for ever, as a device or a FIFO may, is none.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is not UTF-8.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "Not a regular file")
    return path.read_text(encoding="utf-8")


def _override_value(text: str) -> Any:
    """What a value on the command line means: TOML if it is any, else a text, so that nobody has to quote twice."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text.strip()


def _reader_of(hint: Any) -> Reader:
    """The reader in ``Annotated[type, reader]``."""
    reader: Reader = get_args(hint)[1]
    return reader


def _build(kind: type, values: Mapping[str, object], prefix: str) -> Any:
    """An instance of a settings class from values by their key path; absent ones keep their defaults."""
    hints = get_type_hints(kind)
    given: dict[str, object] = {}
    for field in fields(kind):
        path = f"{prefix}{field.name}"
        if is_dataclass(hints[field.name]):
            given[field.name] = _build(hints[field.name], values, f"{path}.")
        elif path in values:
            given[field.name] = values[path]
    return kind(**given)


def _read_name(value: object) -> str:
    name = read_text(value, "stop-taking-jobs")
    if not set(name) <= _NAME_CHARACTERS or name.startswith("."):
        raise ValueError(f'"{name}" also names a file; write letters, digits, "-", "_" and "." only')
    if len(name) > _LONGEST_NAME:
        raise ValueError(f"also names a file; write at most {_LONGEST_NAME} characters")
    return name


def _read_events(value: object) -> frozenset[EventKind]:
    names = read_words(value, 'on = ["terminate"]')
    unknown = [_unknown(name, EVENT_NAMES) for name in names if name not in EVENT_NAMES]
    if unknown:
        raise ValueError(*unknown)
    return frozenset(EventKind(name) for name in names)


def _read_environment(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError('write a table of texts, such as { LANG = "C.UTF-8" }')  # noqa: TRY004 (as all readers)
    mistakes = [mistake for name, text in value.items() for mistake in _mistakes_in_variable(name, text)]
    if mistakes:
        raise ValueError(*mistakes)
    return dict(value)


def _mistakes_in_variable(name: str, text: object) -> Iterator[str]:
    if not name or "=" in name or "\0" in name:
        yield f'"{name}" cannot be set; write a name without "=", and no NUL characters'
    if not isinstance(text, str):
        yield f'"{name}" is no text; write a table of texts, such as {{ LANG = "C.UTF-8" }}'
    elif "\0" in text:
        yield f'"{name}" cannot be set to this; write a text with no NUL characters'


def _read_command(value: object) -> tuple[str, ...]:
    words = _without_nul(read_words(value))
    if not words[0].strip():
        raise ValueError("the first text is the program; write its path")
    return words


def _read_arguments(value: object) -> tuple[str, ...]:
    return _without_nul(read_words(value, '["/etc/spotwatch/drain.d"]')) if value != [] else ()


def _without_nul(words: tuple[str, ...]) -> tuple[str, ...]:
    if any("\0" in word for word in words):
        raise ValueError("leave out the NUL characters; no program can be given one")
    return words


def _read_account(value: object) -> str:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else read_text(value, "www-data")


def _read_built_in(value: object) -> str:
    return read_text(value, "run-parts")


BUILT_IN: Final = (sys.executable, "-P", "-m", "spotwatch", "hook")
"""How a built-in's command begins. Without -P a module in the hook's directory could take the place of one of ours."""

HOOK_READERS: Final[Mapping[str, Reader]] = {
    "name": _read_name,
    "on": _read_events,
    "stage": read_integer,
    "command": _read_command,
    "use": _read_built_in,
    "args": _read_arguments,
    "timeout": read_positive_duration,
    "reserve": read_duration,
    "start_before": read_positive_duration,
    "on_failure": read_one_of(OnFailure),
    "always": read_switch,
    "rerun": read_switch,
    "background": read_switch,
    "user": _read_account,
    "group": _read_account,
    "directory": read_absolute_path,
    "environment": _read_environment,
}
"""What a ``[[hook]]`` may say."""


def _hook_values(table: Mapping[str, object]) -> tuple[dict[str, Any], list[str]]:
    values: dict[str, Any] = {}
    mistakes: list[str] = []
    for key, value in table.items():
        read: Callable[[object], Any] | None = HOOK_READERS.get(key)
        if read is None:
            mistakes.append(f"{key}: {_unknown(key, HOOK_READERS)}")
            continue
        try:
            values[key] = read(value)
        except ValueError as error:
            mistakes += [f"{key}: {mistake}" for mistake in error.args]
    return values, mistakes


def _hook_contradictions(
    values: Mapping[str, Any], table: Mapping[str, object], builtins: Collection[str]
) -> Iterator[str]:
    """What is wrong with a hook as a whole."""
    if "name" not in table:
        yield 'name: write a name, such as name = "stop-taking-jobs"'
    if ("command" in table) == ("use" in table):
        yield 'command: write either command = ["PROGRAM", ...] or use = "BUILT-IN", one of the two'
    if "args" in table and "use" not in table:
        yield "args: is for a built-in (use = ...); a command has its arguments in its list"
    if "use" in values and values["use"] not in builtins:
        yield f"use: {_unknown(values['use'], builtins)}"
    if values.get("reserve", 0.0) > values.get("timeout", float("inf")):
        yield "reserve: is longer than timeout, so a part of it could never be used"
    if values.get("background") and values.get("on_failure") is OnFailure.STOP:
        yield 'on_failure: no stage waits for a hook in the background, so its failure may come too late to "stop" one'


def _hook(values: Mapping[str, Any]) -> Hook:
    given = {key: value for key, value in values.items() if key not in {"use", "args"}}
    given.setdefault("on", DEFAULT_EVENTS)
    if "use" in values:
        given["command"] = (*BUILT_IN, values["use"], *values.get("args", ()))
    return Hook(**given)


def _unknown(word: str, known: Collection[str]) -> str:
    close = get_close_matches(word, list(known), n=1)
    if close:
        return f'"{word}" is not known; did you mean "{close[0]}"?'
    return f'"{word}" is not known; known are {", ".join(sorted(known)) or "none"}'
