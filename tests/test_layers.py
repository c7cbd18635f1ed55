"""Who may import whom. The folder list is the architecture, and this holds it."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "spotwatch"

ROOMS: dict[str, set[str]] = {
    "core": set(),
    "watch": {"core"},
    "drain": {"core"},
    "hooks": {"core"},
    "simulate": {"core"},
    "ship": {"core"},
    "dns": {"core"},
    "notify": {"core"},
    "addresses": {"core"},
    "pools": {"core"},
    "aws": {"core"},
    "host": {"core"},
    "config": {"core"},
    "log": {"core"},
    "daemon": {"core", "watch", "drain", "log"},
    "cli": {
        "core", "watch", "drain", "hooks", "simulate", "ship", "pools", "dns", "notify", "addresses", "aws", "host",
        "config", "log", "daemon",
    },
    "__main__": {"cli"},
}  # fmt: skip
"""Each room, and the rooms that it may know besides itself. The package itself (its version) is known to all."""

LIBRARIES: dict[str, set[str]] = {
    "watch": {"httpx", "httpcore"},
    "simulate": {"rich", "moto", "werkzeug"},
    "dns": {"dns", "pymysql", "psycopg"},
    "notify": {"httpx", "apprise"},
    "ship": {"zstandard", "xxhash", "yaml"},
    "pools": {"jinja2", "yaml", "botocore", "cfnlint"},
    "aws": {"boto3", "botocore", "tenacity", "httpx", "isal"},
    "host": {"pyroute2"},
    "log": {"structlog"},
    "cli": {"rich"},
}
"""The only rooms that may import more than the standard library, and what."""

IMPURE = {"os", "socket", "subprocess", "signal", "time", "random", "logging", "select", "threading", "pathlib", "io"}
"""What core must not import: it reads no clock, opens no file and logs nothing."""


def room_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


@cache
def imports_of(path: Path) -> tuple[str, ...]:
    """The full names of the modules that a file imports, wherever in the file."""
    return tuple(_imports_of(path))


def _imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively; write the whole name"
            yield from _imported_from(node)


def _imported_from(node: ast.ImportFrom) -> Iterator[str]:
    """``from spotwatch import hooks`` imports a room, ``from spotwatch import __version__`` the package."""
    assert node.module is not None
    if node.module == "spotwatch":
        yield from (f"spotwatch.{alias.name}" for alias in node.names if alias.name != "__version__")
    else:
        yield node.module


def foreign_rooms(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imports_of(path) if name.startswith("spotwatch.")} - {room_of(path)}


def libraries(path: Path) -> set[str]:
    roots = {name.split(".")[0] for name in imports_of(path)}
    return roots - set(sys.stdlib_module_names) - {"spotwatch", "_typeshed"}  # the latter is for the type checker only


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def test_every_file_is_in_a_room_of_the_plan() -> None:
    assert {room_of(path) for path in FILES} == set(ROOMS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_knows_only_the_rooms_that_it_may(path: Path) -> None:
    assert foreign_rooms(path) <= ROOMS[room_of(path)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_uses_only_the_libraries_of_its_room(path: Path) -> None:
    assert libraries(path) <= LIBRARIES.get(room_of(path), set())


@pytest.mark.parametrize("path", sorted((PACKAGE / "core").glob("*.py")), ids=lambda path: path.name)
def test_core_touches_nothing_outside_itself(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports_of(path)} & IMPURE


def test_the_rule_finds_a_forbidden_import(tmp_path: Path) -> None:
    """The check can fail: a watcher that starts child processes is found out."""
    offender = tmp_path / "offender.py"
    offender.write_text("from spotwatch.host.machine import Machine\nimport boto3\n")
    assert "spotwatch.host.machine" in set(imports_of(offender))
    assert "boto3" in set(imports_of(offender)) - set(sys.stdlib_module_names)


def test_the_daemon_s_process_imports_neither_boto3_nor_the_rehearsal() -> None:
    """It loads nothing of the fake service and no built-in hook, so that it stays small."""
    script = (
        "import sys; import spotwatch.cli.run; "
        "print([m for m in sys.modules if m.startswith(('boto', 'spotwatch.simulate', 'spotwatch.hooks.'))])"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
