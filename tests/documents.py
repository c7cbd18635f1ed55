"""The README and the manual, as the tests read them."""

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
README: Final = (ROOT / "README.md").read_text(encoding="utf-8")


def page(name: str) -> str:
    """A page of the manual."""
    return (ROOT / "spotwatch" / "manual" / f"{name}.md").read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """What follows a heading of the second level, up to the next one."""
    (found,) = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return str(found)


def blocks(text: str, language: str) -> list[str]:
    """The code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def rows(text: str) -> dict[str, list[str]]:
    """The rows of its tables that begin with something in backquotes, by it."""
    found: dict[str, list[str]] = {}
    for line in re.findall(r"^\| `.*\|$", text, re.MULTILINE):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        found[cells[0].strip("`")] = cells
    return found
