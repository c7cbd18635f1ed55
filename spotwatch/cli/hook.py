"""``spotwatch hook``: a built-in hook as a command, which is also how the daemon runs it."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import NoReturn

from spotwatch import hooks
from spotwatch.core.errors import UsageError

DESCRIPTION = """\
Run one of the built-in hooks, as the daemon does for a hook with
use = "NAME" in the settings. The words after its name are what args = [...]
holds there; what it needs to know of the drain is in the environment, see
"spotwatch run --help".
"""

EPILOG = """\
exit codes:
  0   done
  1   something that it does has failed
  64  its words are wrong
  65  a file that they name cannot be used, or the log volume is on nothing that
      outlives the instance
  69  a service refuses or does not answer, or an extra is not installed
  75  the wait was cut by the deadline; what was begun goes on
  77  credentials, a key or a permission is missing

examples:
  spotwatch hook run-parts --dry-run /etc/spotwatch/drain.d
  SPOTWATCH_EVENT=terminate spotwatch hook run-parts /etc/spotwatch/drain.d
  spotwatch hook preserve-volume --mount-point /var/log/app --dry-run
  spotwatch hook flush-logs --mount-point /var/log/app --unit fluent-bit
  spotwatch hook stop-units --dry-run 'worker@*.service=20s' app.service
  spotwatch hook notify --webhook-file /etc/spotwatch/webhooks

"spotwatch hook NAME --help" explains each of them.
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
    from spotwatch.cli.hook_services import Services

    hook = hooks.built_in(arguments.name)
    rehearsed = "SPOTWATCH_REHEARSAL" in os.environ and bool(hook.IAM_ACTIONS)
    return hook.run(arguments, Services(os.environ), dry_run=arguments.dry_run or rehearsed)


def mistake_in(words: Sequence[str]) -> str:
    """What is wrong with the words of a built-in, its name first, as settings hold them; empty if nothing is."""
    try:
        _parsed(words)
    except UsageError as error:
        return error.message
    return ""


def lacks_of(words: Sequence[str]) -> Sequence[str]:
    """What a built-in with these words, in which there is no mistake, needs at work and does not have here."""
    from spotwatch.cli.hook_needs import lacks

    return tuple(dict.fromkeys(lacks(_parsed(words))))


def only_says(words: Sequence[str]) -> bool:
    """Whether a built-in with these words, in which there is no mistake, does nothing but say what it would do."""
    return bool(_parsed(words).dry_run)


def _parsed(words: Sequence[str]) -> Namespace:
    parser = _Examiner(add_help=False)
    add_arguments(parser)
    return parser.parse_args(words)


class _Examiner(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def _description(hook: hooks.BuiltIn) -> str:
    actions = f" Needs the IAM actions {', '.join(hook.IAM_ACTIONS)}." if hook.IAM_ACTIONS else ""
    return f"{hook.SUMMARY.capitalize()}.{actions}"
