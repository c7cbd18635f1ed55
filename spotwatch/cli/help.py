"""``spotwatch help``: the pages of the manual, which come with the package, for a machine without a browser."""

from argparse import ArgumentParser, Namespace
from importlib.resources import files
from typing import Final

DESCRIPTION = """\
Show a page of the manual (Markdown), or without a page what there is.
"""

EPILOG = """\
exit codes:
  0   it is shown
  64  there is no such page

examples:
  spotwatch help
  spotwatch help hooks | less
"""

PAGES: Final[tuple[str, ...]] = ("settings", "hooks", "recipes", "drain", "addresses", "shipping", "pools")
"""In the order in which one reads them."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("page", nargs="?", choices=PAGES, help="the page")


def run(arguments: Namespace) -> int:
    """Show it."""
    print(page(arguments.page) if arguments.page else _contents(), end="")
    return 0


def page(name: str) -> str:
    """A page of the manual."""
    return (files("spotwatch") / "manual" / f"{name}.md").read_text(encoding="utf-8")


def _contents() -> str:
    width = max(map(len, PAGES))
    return "".join(f"spotwatch help {name:{width}}  {title(name)}\n" for name in PAGES)


def title(name: str) -> str:
    """A page's first line."""
    return page(name).partition("\n")[0].removeprefix("# ")
