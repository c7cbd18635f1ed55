"""``spotwatch hook``: a built-in hook as a command, which is also how the daemon runs it."""

import os
from argparse import ArgumentParser, Namespace

from spotwatch import hooks
from spotwatch.host.programs import Programs

DESCRIPTION = """\
Run one of the built-in hooks, as the daemon does for a hook with 'use = "NAME"'. Its settings are the words after its
name; what it needs to know of the drain is in the environment (see "spotwatch run --help").
"""

EPILOG = """\
examples:
  spotwatch hook run-parts --dry-run /etc/spotwatch/drain.d
  SPOTWATCH_EVENT=terminate spotwatch hook run-parts /etc/spotwatch/drain.d
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's words: one subcommand for each built-in."""
    names = parser.add_subparsers(dest="name", metavar="NAME", required=True, title="built-in hooks")
    for name in hooks.NAMES:
        hook = hooks.built_in(name)
        subparser = names.add_parser(name, help=hook.SUMMARY, description=_description(hook))
        subparser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
        hook.add_arguments(subparser)


def run(arguments: Namespace) -> int:
    """Run the built-in."""
    hook = hooks.built_in(arguments.name)
    rehearsed = "SPOTWATCH_REHEARSAL" in os.environ and bool(hook.IAM_ACTIONS)
    return hook.run(arguments, Programs(), dry_run=arguments.dry_run or rehearsed)


def _description(hook: hooks.BuiltIn) -> str:
    actions = f" Needs the IAM actions {', '.join(hook.IAM_ACTIONS)}." if hook.IAM_ACTIONS else ""
    return f"{hook.SUMMARY.capitalize()}.{actions}"
