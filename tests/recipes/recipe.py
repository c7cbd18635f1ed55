"""The recipes as the page has them: what is tested is what is shown."""

import re
from dataclasses import dataclass

from tests.documents import blocks, page

PAGE = page("recipes")


@dataclass(frozen=True)
class Recipe:
    """A section of the page.

    Attributes:
        title: its heading.
        text: all of it.
    """

    title: str
    text: str

    @property
    def settings(self) -> str:
        """Its hooks."""
        return "\n".join(blocks(self.text, "toml"))

    @property
    def files(self) -> dict[str, str]:
        """The files that it shows, by the path that their first or second line names."""
        shown = [*blocks(self.text, "sh"), *blocks(self.text, "ini")]
        return {path: text for text in shown for path in re.findall(r"\A(?:#!.*\n)?# (/[\w./-]+)", text)}

    def block(self, language: str) -> str:
        """Its only block in this language."""
        (found,) = blocks(self.text, language)
        return found


def recipes() -> dict[str, Recipe]:
    """All sections that have hooks, by their headings."""
    sections = re.findall(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return {title: Recipe(title, text) for title, text in sections if blocks(text, "toml")}
