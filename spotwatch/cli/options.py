"""What several commands have in common on their command line: the settings file and single settings."""

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from spotwatch import hooks
from spotwatch.config import DEFAULT_PATH, drop_in_directory, drop_ins, load
from spotwatch.core.reading import printable
from spotwatch.core.settings import Settings


def add_settings_options(parser: ArgumentParser, *, default: str = str(DEFAULT_PATH)) -> None:
    """Declare ``--config`` and ``--set``; `default` says what stands in for a settings file that is not named."""
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        type=Path,
        help=f"the settings file; its drop-ins are in the directory named like it with .d for .toml "
        f"(default: {default})",
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="one setting, stronger than the files, such as metadata.poll_interval=1s; may be repeated",
    )


def load_settings(arguments: Namespace, path: Path | None = None) -> Settings:
    """The settings that the command line names, or those in another file with what ``--set`` says.

    Raises:
        SettingsError: with every mistake.
    """
    return load(path or arguments.config, builtins=hooks.NAMES, overrides=arguments.set)


def settings_files(arguments: Namespace) -> list[Path]:
    """The files that settings have been loaded from."""
    main = arguments.config or DEFAULT_PATH
    return [*([main] if main.exists() else []), *drop_ins(main)]


def settings_places(arguments: Namespace) -> list[Path]:
    """The files that settings have been loaded from, and the directory where more could be added."""
    directory = drop_in_directory(arguments.config or DEFAULT_PATH)
    return [*settings_files(arguments), *([directory] if directory.exists() else [])]


def plural(count: int, word: str) -> str:
    """``1 hook``, ``2 hooks``."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def shown_path(path: str) -> str:
    """A path of a log volume as it is shown: one line that does nothing to a terminal, whatever bytes it is of."""
    try:
        return printable(os.fsencode(path).decode(errors="backslashreplace"))
    except UnicodeEncodeError:  # a surrogate that stands for no byte: somebody else has written this
        return printable(path)
