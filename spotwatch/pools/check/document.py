"""A file that somebody has: read with limits, and asked for values by their key paths.

What this survives: files too large, too deeply nested, with YAML aliases that unfold a thousandfold, with tags that
would make objects, with numbers that are none. Each becomes an `InputError` that names the file and the key path.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

from spotwatch.core.errors import InputError

MOST_JSON_BYTES: Final = 50_000_000
"""A Terraform plan of a large account has some megabytes."""

MOST_YAML_BYTES: Final = 2_000_000
"""CloudFormation takes templates of 1 MB at most; the YAML reader needs about 4 s for each."""

MOST_DEPTH: Final = 100

LEAST_NUMBER: Final = 1e-9
MOST_NUMBER: Final = 1e12
"""But for 0, no capacity, weight or count comes near it, and sums and quotients of such numbers are finite."""


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A value that the file leaves open, and how it is written there."""

    expression: str


@dataclass(frozen=True, slots=True)
class Node:
    """A value in a document, its key path, and the collection of what turned out to be unresolved."""

    file: str
    path: str
    value: Any
    unresolved: list[str] = field(compare=False, repr=False)

    def get(self, *keys: str) -> "Node":
        """What a chain of keys leads to; a missing key leads to None."""
        node = self
        for key in keys:
            mapping = node._mapping()
            node = node.at(f"{node.path}.{key}" if node.path else key, mapping.get(key))
        return node

    def at(self, path: str, value: Any) -> "Node":
        """Another value of the same document."""
        return Node(self.file, path, value, self.unresolved)

    def items(self) -> list["Node"]:
        """The entries of a list; none if there is no list."""
        value = self._known()
        if value is None:
            return []
        if not isinstance(value, list):
            self.fail("a list is expected")
        return [self.at(f"{self.path}[{index}]", item) for index, item in enumerate(value)]

    def fields(self) -> Iterator[tuple[str, "Node"]]:
        """The keys and values of a mapping; none if there is no mapping."""
        for key in self._mapping():
            yield str(key), self.get(key)

    def text(self) -> str:
        """A string; empty if there is none."""
        value = self._known()
        if value is None:
            return ""
        if not isinstance(value, str):
            self.fail("a string is expected")
        return value

    def identity(self) -> str:
        """A string that is only compared with others: what is unresolved stands for itself, and is no gap."""
        return self.value.expression if isinstance(self.value, Unresolved) else self.text()

    def texts(self) -> tuple[str, ...]:
        """The strings of a list."""
        return tuple(text for text in (item.text() for item in self.items()) if text)

    def number(self) -> float | None:
        """A number, written as one or as a string; None if there is none."""
        value = self._known()
        if value is None or value == "":
            return None
        try:
            number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
        except (ValueError, OverflowError):
            number = math.nan
        if number != 0 and not LEAST_NUMBER <= abs(number) <= MOST_NUMBER:  # nan is neither
            self.fail("a number is expected")
        return number

    def whole(self) -> int | None:
        """A whole number; None if there is none."""
        number = self.number()
        if number is None:
            return None
        if number != int(number):
            self.fail("a whole number is expected")
        return int(number)

    @property
    def present(self) -> bool:
        """Whether there is anything."""
        return self.value is not None

    def fail(self, expected: str) -> NoReturn:
        """Refuse the file.

        Raises:
            InputError: always.
        """
        shown = json.dumps(self.value, default=str)[:60]
        where = f"{self.file}: {self.path}" if self.path else self.file
        raise InputError(f"{where}: {expected}, not {shown}", hint="correct the file; nothing was changed")

    def _known(self) -> Any:
        if isinstance(self.value, Unresolved):
            self.unresolved.append(f"{self.path}: {self.value.expression}")
            return None
        return self.value

    def _mapping(self) -> Mapping[str, Any]:
        value = self._known()
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.fail("a mapping is expected")
        return value


def load(path: Path) -> list[Any]:
    """The documents of a JSON or YAML file.

    Raises:
        InputError: it cannot be read, or is neither, or is too large or too deeply nested.
    """
    content = _content(path)
    try:
        return _parsed(path, content)
    except RecursionError as error:
        raise InputError(f"{path}: it is nested too deeply", hint=f"{MOST_DEPTH} levels at most") from error


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_JSON_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", hint="see whether the file is there and readable") from error
    if len(raw) > MOST_JSON_BYTES:
        raise InputError(f"{path}: it has more than {MOST_JSON_BYTES // 1_000_000} MB", hint="is it the right file?")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: it is no UTF-8 text", hint="is it the right file?") from error


def _parsed(path: Path, content: str) -> list[Any]:
    if not content.strip():
        raise InputError(f"{path}: it is empty", hint="see what was to write it")
    documents = [_json(path, content)] if content.lstrip()[0] in "{[" else _yaml(path, content)
    if any(_depth(document) > MOST_DEPTH for document in documents):
        raise InputError(f"{path}: it is nested too deeply", hint=f"{MOST_DEPTH} levels at most")
    return documents


def _json(path: Path, content: str) -> Any:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no JSON")

    try:
        return json.loads(content, parse_constant=refuse)
    except ValueError as error:
        raise InputError(f"{path}: it is no valid JSON: {error}", hint="correct the file") from error


def _yaml(path: Path, content: str) -> list[Any]:
    import yaml  # only YAML files need it

    from spotwatch.pools.check.yaml_loader import TemplateLoader

    if len(content) > MOST_YAML_BYTES:
        raise InputError(
            f"{path}: it is YAML of more than {MOST_YAML_BYTES // 1_000_000} MB", hint="convert it to JSON"
        )
    try:
        return [document for document in yaml.load_all(content, Loader=TemplateLoader) if document is not None]
    except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:
        # the last three: a date, a number or a key that YAML's grammar allows and Python does not
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: it is no valid YAML: {reason}", hint="correct the file") from error


def _depth(document: Any) -> int:
    deepest, waiting = 0, [(document, 1)]
    while waiting:
        value, depth = waiting.pop()
        deepest = max(deepest, depth)
        if depth > MOST_DEPTH:
            return depth
        if isinstance(value, dict):
            waiting.extend((item, depth + 1) for item in value.values())
        elif isinstance(value, list):
            waiting.extend((item, depth + 1) for item in value)
    return deepest
