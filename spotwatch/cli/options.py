"""What several commands have in common on their command line: the settings file and single settings."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from spotwatch import hooks
from spotwatch.config import DEFAULT_PATH, drop_ins, load
from spotwatch.core.settings import Settings


def add_settings_options(parser: ArgumentParser) -> None:
    """Declare ``--config`` and ``--set``."""
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        type=Path,
        help=f"the settings file; drop-ins are read from FILE with .d for .toml (default: {DEFAULT_PATH})",
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="one setting, stronger than the files, such as metadata.poll_interval=1s; may be repeated",
    )


def load_settings(arguments: Namespace) -> Settings:
    """The settings that the command line names.

    Raises:
        SettingsError: with every mistake.
    """
    return load(arguments.config, builtins=hooks.NAMES, overrides=arguments.set)


def settings_files(arguments: Namespace) -> list[Path]:
    """The files that settings have been loaded from."""
    main = arguments.config or DEFAULT_PATH
    return [*([main] if main.exists() else []), *drop_ins(main)]
