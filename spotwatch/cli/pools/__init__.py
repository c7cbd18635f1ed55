"""``spotwatch pools``: plan capacity over Spot capacity pools, check a configuration, replay a plan."""

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from importlib import import_module
from types import ModuleType
from typing import Final

from spotwatch.cli.pools import plan
from spotwatch.core.errors import UsageError

DESCRIPTION = """\
Turn "1,000 vCPU of class c in ap-northeast-1" into a fleet over so many Spot
capacity pools (an instance type in an Availability Zone) that no one loss
hurts; say what it costs, what can be lost at once and what it would cost to
be safer; and write the configuration that creates it.

Without --live, --prices or --catalog the plan rests on the catalogue that
comes with spotwatch, which has no prices: it spreads without them.
"""

EPILOG = """\
exit codes:
  0   planned, written or checked
  1   (check) AWS would refuse the configuration
  64  something is asked for that does not exist or cannot be
  65  a file is wrong, or no plan does what is asked
  69  AWS cannot be reached, or does not answer as it should
  73  the report cannot be written
  77  AWS refuses: the IAM action is named

examples:
  spotwatch pools --region ap-northeast-1 --class c --vcpus 1000
  spotwatch pools --region ap-northeast-1 --class c --vcpus 1000 --live
  spotwatch pools --region us-east-1 --class c --vcpus 1000 --live \\
      --survive type
  spotwatch pools --region us-east-1 --class m --vcpus 500 --live \\
      --mode aligned --format ec2-fleet > fleet.json
  spotwatch pools check fleet.json
  spotwatch pools replay --trace traces.csv
"""

ACTIONS: Final = {
    "check": "say which limits of AWS a configuration breaks, and what it can lose at once",
    "replay": "run the usual strategies, or a plan, through traces of pools' availability",
}


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's words: those of a plan, and the other actions with theirs."""
    plan.add_arguments(parser)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="instead of planning")
    for name, summary in ACTIONS.items():
        action = _action(name)
        subparser = actions.add_parser(
            name,
            help=summary,
            description=action.DESCRIPTION,
            epilog=action.EPILOG,
            formatter_class=RawDescriptionHelpFormatter,
        )
        action.add_arguments(subparser)


def run(arguments: Namespace) -> int:
    """Plan, or do what the action says.

    Raises:
        UsageError: a library of the extra `pools` is missing; and whatever the action raises.
    """
    action = plan if arguments.action is None else _action(arguments.action)
    try:
        code: int = action.run(arguments)
    except ModuleNotFoundError as error:
        if (error.name or "spotwatch").startswith("spotwatch"):
            raise
        raise UsageError(
            f"this needs {error.name}, which is not installed",
            hint="install the extra as the README does: pip install '.[pools]'",
        ) from None
    return code


def _action(name: str) -> ModuleType:
    return import_module(f"spotwatch.cli.pools.{name}")
