"""Files that the command line names, as rows of a table or as JSON.

What is wrong with one is an `InputError` that names the file, the line or the key path, and what to do. Whoever reads
the values of a row or of an object raises ValueError with a sentence; `at` makes it an `InputError` of that place.
"""

import csv
import datetime
import io
import json
import os
import re
import reprlib
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from spotwatch.core.errors import InputError
from spotwatch.core.reading import printable
from spotwatch.pools.near import near

Item = Mapping[str, object]
"""A row, or an object of JSON."""

LARGEST: Final = 1 << 29
"""Bytes. Ninety days of the price history of the largest region are a quarter of it."""

DEAREST: Final = 1e6
"""USD an hour; the dearest instance type costs a few hundred."""

BY_MODIFICATION: Final = "dated by when the file was modified"
CUT: Final = "cut short: it has a NextToken"
"""Notes of a source."""

_NUMBER: Final = re.compile(r"\d{1,30}(\.\d{0,30})?([eE][+-]?\d{1,2})?", re.ASCII)
_WHOLE: Final = re.compile(r" {0,9}[0-9]{1,9} {0,9}")
_AZ_ID: Final = re.compile(r"[a-z][a-z0-9]{1,15}(-[a-z0-9]{1,16}){1,4}")


@dataclass(frozen=True, slots=True)
class Document:
    """A file's text, and the day (UTC) on which it was modified last."""

    path: str
    text: str
    modified: datetime.date


@dataclass(frozen=True, slots=True)
class at:  # noqa: N801 (it reads as a word of the statement: `with at(place):`)
    """Inside of it a ValueError becomes the `InputError` of this place, such as `prices.csv, line 7`."""

    place: str

    def __enter__(self) -> None:
        """Nothing is to be done before."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, ValueError):
            raise InputError(printable(f"{self.place}: {error}"), hint="correct the file") from error


def read(path: str | os.PathLike[str]) -> Document:
    """The text of a file in UTF-8, with or without a byte order mark.

    Raises:
        InputError: it is missing, may not be read, is a folder, is too large, or is not UTF-8.
    """
    name = os.fspath(path)
    try:
        with open(name, "rb") as file:
            status = os.fstat(file.fileno())
            content = b"" if status.st_size > LARGEST and stat.S_ISREG(status.st_mode) else file.read(LARGEST + 1)
    except (OSError, ValueError) as error:  # a NUL character in the name is a ValueError
        raise _unreadable(name, error) from error
    if len(content) > LARGEST or status.st_size > LARGEST:
        raise InputError(f"{name} is larger than {LARGEST >> 20} MiB", hint="ask AWS for less: one region, fewer days")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name} is not UTF-8: byte {error.start}",
            hint="write it anew as UTF-8; PowerShell's > writes UTF-16, its Out-File -Encoding utf8 does not",
        ) from error
    return Document(name, text, datetime.datetime.fromtimestamp(status.st_mtime, datetime.UTC).date())


def _unreadable(name: str, error: OSError | ValueError) -> InputError:
    if isinstance(error, IsADirectoryError):
        return InputError(f"{name} is a folder", hint="name a file in it")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return InputError(f"{printable(name)} cannot be read: {reason}", hint="see the file's name and its permissions")


def is_json(document: Document) -> bool:
    """Whether the text looks like JSON rather than like a table."""
    return document.text.lstrip()[:1] in ("{", "[")


def json_of(document: Document) -> object:
    """The content of a file of JSON.

    Raises:
        InputError: it is not JSON, or not all of it.
    """
    try:
        return json.loads(document.text, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        cut = not document.text[error.pos :].strip() or error.msg.startswith("Unterminated string")
        raise InputError(
            f"{document.path}, line {error.lineno}, column {error.colno}: "
            f"{'the JSON is cut off' if cut else 'no JSON'}: {error.msg}",
            hint="write the file anew; the AWS CLI prints JSON with --output json",
        ) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; thousands of brackets
        raise InputError(f"{document.path}: no JSON that AWS prints: {error}", hint="write the file anew") from error


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no JSON")


def object_of(document: Document) -> Item:
    """The object that a file of JSON is.

    Raises:
        InputError: it is no JSON, or no object.
    """
    content = json_of(document)
    if not isinstance(content, dict):
        raise InputError(
            f"{document.path} holds no JSON object",
            hint="save what the AWS CLI prints with --output json, without --query",
        )
    return content


def objects(document: Document, content: Item, *keys: str) -> Iterator[tuple[str, Item]]:
    """The objects of a list in a file of JSON, each with its place (`file: SpotPriceHistory[3]`).

    Args:
        document: the file.
        content: an object of it.
        keys: the key of the list, after the path of the object in the file, which is written in messages only.

    Raises:
        InputError: there is no such list, or it holds something else.
    """
    place = f"{document.path}: {'.'.join(keys)}"
    listed = content.get(keys[-1])
    if not isinstance(listed, list):
        raise InputError(
            f"{place} is {'missing' if listed is None else 'no list'}",
            hint=f"save what the AWS CLI prints with --output json; it has {keys[-1]}",
        )
    for index, item in enumerate(listed):
        if not isinstance(item, dict):
            raise InputError(f"{place}[{index}] is no object", hint="save what the AWS CLI prints, unchanged")
        yield f"{place}[{index}]", item


def rows(
    document: Document, needed: Sequence[str], *, region: str | None = None, none_of_region: bool = False
) -> Iterator[tuple[str, Item]]:
    """The rows of a table (CSV with a header line), each with its place (`file, line 7`).

    Args:
        document: the file.
        needed: columns that it must have; it may have others.
        region: only the rows that have this in the column `region`; None: all.
        none_of_region: whether it is no mistake if there is none.

    Raises:
        InputError: a column is missing, a row has too many or too few cells, there is no row of the region, ….
    """
    names = header(document)
    _check_header(document, names, needed)
    column = names.index("region") if region is not None else None
    others: set[str] = set()
    found = column is None
    for line, cells in _cells(document, region if column == 0 else None):
        if len(cells) != len(names):
            _check_width(document, line, cells, len(names))
        elif column is not None and cells[column] != region:
            others.add(cells[column])
        else:
            found = True
            yield f"{document.path}, line {line}", dict(zip(names, cells, strict=True))
    if not found and not none_of_region:
        raise no_region(document, str(region), others or _first_words(document))


def _cells(document: Document, beginning: str | None) -> Iterator[tuple[int, list[str]]]:
    """The number and the cells of each line but the header; where it can be told, only of lines that begin so.

    A table of all regions has twenty thousand lines, and only a thirtieth of them need a look.
    """
    lines = io.StringIO(document.text, newline="")
    next(lines, None)
    if beginning is not None and '"' not in document.text:
        wanted = [(number, line) for number, line in enumerate(lines, 2) if line.startswith(beginning)]
        yield from _parsed(document, [line for _, line in wanted], [number for number, _ in wanted])
    else:
        yield from _parsed(document, lines, None)


def _parsed(document: Document, lines: Iterable[str], numbers: Sequence[int] | None) -> Iterator[tuple[int, list[str]]]:
    """The cells of lines; `numbers` are theirs, if each is a row, else they are counted."""
    reader = csv.reader(lines, strict=True)
    try:
        for index, cells in enumerate(reader):
            yield numbers[index] if numbers is not None else reader.line_num + 1, cells
    except csv.Error as error:
        line = f", line {reader.line_num + 1}" if numbers is None else ""
        raise InputError(f"{document.path}{line}: no CSV: {error}", hint="separate cells by commas") from error


def _first_words(document: Document) -> set[str]:
    """What the lines begin with: the regions of a table that has none of the wanted one."""
    return {line.partition(",")[0] for line in document.text.splitlines()[1:]}


def header(document: Document) -> list[str]:
    """The names of a table's columns; empty for an empty file."""
    first = document.text.partition("\n")[0].strip()
    return [name.strip().strip('"') for name in first.split(",")] if first else []


def _check_header(document: Document, names: list[str], needed: Sequence[str]) -> None:
    for name in needed:
        if name not in names:
            found = f"it has {printable(', '.join(names)[:200])}" if names else "it is empty"
            raise InputError(
                f'{document.path} has no column "{name}"; {found}', hint=f"the first line must name {', '.join(needed)}"
            )


def _check_width(document: Document, line: int, cells: list[str], width: int) -> None:
    if cells:  # an empty line has none
        raise InputError(
            f"{document.path}, line {line}: {len(cells)} cells, where the first line has {width}",
            hint="correct the row, or cut it off if the file is incomplete",
        )


def no_region(document: Document, region: str, others: set[str]) -> InputError:
    """What is raised for a file that says nothing of the region that is asked for, but of others."""
    return InputError(
        f'{document.path} has nothing of the region "{printable(region)}"', hint=printable(near(region, others))
    )


def word(item: Item, key: str) -> str:
    """A text that is not empty.

    Raises:
        ValueError: it is missing, or something else.
    """
    value = item.get(key)
    if isinstance(value, str) and (text := value.strip()):
        return text
    raise ValueError(f"{key} is {'missing' if value is None or value == '' else 'no text'}")


def amount(item: Item, key: str) -> float:
    """A price in USD an hour: a number above zero, in JSON perhaps as a text, as AWS writes it.

    Raises:
        ValueError: it is missing, or something else.
    """
    value = item.get(key)
    text = value.strip() if isinstance(value, str) else ""
    number = float(text) if _NUMBER.fullmatch(text) else value
    if isinstance(number, int | float) and not isinstance(number, bool) and 0 < number < DEAREST:
        return float(number)
    raise ValueError(f"{key} is {_shown(value)}, no number above 0")


def count(item: Item, key: str, *, least: int = 0) -> int:
    """A whole number.

    Raises:
        ValueError: it is missing, something else, or less than `least`.
    """
    value = item.get(key)
    number = int(value) if isinstance(value, str) and _WHOLE.fullmatch(value) else value
    if isinstance(number, int) and not isinstance(number, bool) and least <= number <= MOST:
        return number
    raise ValueError(f"{key} is {_shown(value)}, no whole number of at least {least}")


MOST: Final = 999_999_999
"""Of anything that is counted: MiB, vCPU, instances."""


def az_id(item: Item, key: str, prefix: str) -> str:
    """The id of an AZ, which begins with `prefix` (`use1-`; empty if that is not known).

    Raises:
        ValueError: it is missing, something else, or the id of an AZ of another region.
    """
    text = word(item, key)
    if _AZ_ID.fullmatch(text) is None or not text.startswith(prefix):
        raise ValueError(f'{key} is "{text}", no id of an AZ there; one is written like {prefix or "use1-"}az1')
    return text


def _shown(value: object) -> str:
    return "missing" if value is None or value == "" else reprlib.repr(value)
