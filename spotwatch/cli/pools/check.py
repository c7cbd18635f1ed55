"""``spotwatch pools check``: a configuration that people have already."""

import json
from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spotwatch.cli.values import pairs
from spotwatch.core.capacity import InstanceType
from spotwatch.core.quantity import format_share
from spotwatch.core.reading import printable
from spotwatch.pools import catalogue
from spotwatch.pools.check import Checked, check
from spotwatch.pools.limits import Facts

DESCRIPTION = """\
Read a configuration of an EC2 Fleet, a Spot Fleet, an Auto Scaling group
(a request, or what the AWS CLI's describe commands print), a CloudFormation
template, Terraform (.tf.json, or the output of terraform show -json) or
Karpenter NodePools; say which limits of AWS it breaks, and what it can lose
at once.
"""

EPILOG = """\
exit codes:
  0   AWS takes it
  1   AWS would refuse it, or could not launch what it asks for
  64  the region is not known
  65  the file is none of these, or malformed

examples:
  spotwatch pools check fleet.json
  aws autoscaling describe-auto-scaling-groups > groups.json
  spotwatch pools check groups.json --region us-east-1 --json
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare its words."""
    parser.add_argument("file", type=Path, help="the configuration")
    # what the plan's words have set before the action stays, unless it is said again
    parser.add_argument("--region", default=SUPPRESS, help="its instance types are looked up there (default: in all)")
    parser.add_argument(
        "--subnet-az", action="append", default=[], metavar="SUBNET=AZ", help="the AZ of a subnet; may be repeated"
    )
    parser.add_argument("--json", action="store_true", default=SUPPRESS, help="print it as JSON")


def run(arguments: Namespace) -> int:
    """Check it."""
    facts = Facts(types=_types(arguments.region))
    checked = check(arguments.file, facts, pairs(arguments.subnet_az, "--subnet-az SUBNET=AZ"))
    if arguments.json:
        print(json.dumps(_document(checked), indent=2))
    else:
        _show(checked, arguments.file.name)
    return 1 if checked.refused else 0


def _types(region: str | None) -> Mapping[str, InstanceType]:
    if region is not None:
        return catalogue.market(region).types
    return {name: kind for known in catalogue.regions() for name, kind in catalogue.market(known).types.items()}


def _document(checked: Checked) -> dict[str, Any]:
    return {
        "refused": checked.refused,
        "findings": [asdict(finding) for finding in checked.findings],
        "losses": [asdict(loss) for loss in checked.losses.losses],
        "unit": checked.losses.unit,
        "assumptions": list(checked.losses.assumptions),
        "unresolved": list(checked.configuration.unresolved),
    }


def _show(checked: Checked, file: str) -> None:
    from spotwatch.cli.pools.table import NO_FIGURE, make_console, table

    console = make_console()
    for finding in checked.findings:
        console.print(
            printable(f"{finding.severity.upper()} {finding.where or file}: {finding.what}; {finding.cure}"),
            markup=False,
            soft_wrap=True,
        )
    if not checked.findings:
        console.print("no limit is broken")
    shown = table("lost at once", "at worst", "share", "if spread evenly", "share ")
    for loss in checked.losses.losses:
        even = NO_FIGURE if loss.even is None else format_share(loss.even)
        shown.add_row(
            f"one {loss.group.word}", printable(loss.worst_key), format_share(loss.worst), loss.even_key, even
        )
    console.print(shown)
    for assumption in checked.losses.assumptions:
        console.print(f"assumed: {assumption}", markup=False, soft_wrap=True)
    for unresolved in checked.configuration.unresolved:
        console.print(printable(f"not known: {unresolved}"), markup=False, soft_wrap=True)
