"""``spotwatch pools``: the plan, and what it is written as."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from sys import stderr
from typing import TYPE_CHECKING

from spotwatch.cli.pools import demand as demand_words
from spotwatch.cli.pools import facts
from spotwatch.core.capacity import Market, Pool
from spotwatch.core.errors import UsageError
from spotwatch.core.reading import printable
from spotwatch.host.files import write_atomically
from spotwatch.pools.addresses import VCPUS_PER_ADDRESS, Addresses, addresses
from spotwatch.pools.candidates import candidates
from spotwatch.pools.change import Existing, Step
from spotwatch.pools.demand import Demand, Weights
from spotwatch.pools.document import document
from spotwatch.pools.performance import factors as read_factors
from spotwatch.pools.plan import Plan
from spotwatch.pools.planning import frontier, plan

if TYPE_CHECKING:
    from spotwatch.pools.formats import LaunchTemplate

FORMATS = ("ec2-fleet", "auto-scaling", "spot-fleet", "cloudformation", "terraform", "karpenter")
"""Those of `spotwatch.pools.formats`, which takes longer to import than a plan takes to make; a test compares them."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the words of a plan."""
    demand_words.add_arguments(parser)
    facts.add_arguments(parser)
    parser.add_argument(
        "--performance", type=Path, metavar="FILE", help="JSON: what a vCPU of each family counts, with --weights"
    )
    output = parser.add_argument_group("what is printed")
    output.add_argument("--json", action="store_true", help="the plan as JSON")
    output.add_argument("--html", type=Path, metavar="FILE", help="write a report to look at in a browser, too")
    output.add_argument("--format", choices=FORMATS, help="the configuration that creates the plan, instead of a table")
    output.add_argument(
        "--vcpus-per-address",
        type=int,
        default=VCPUS_PER_ADDRESS,
        metavar="N",
        help="an address for each so many vCPU (default: 2)",
    )
    _add_settings(parser)


def _add_settings(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("with --format")
    group.add_argument("--name", default="spotwatch", help="begins the names of all that is created")
    group.add_argument(
        "--launch-template",
        action="append",
        default=[],
        metavar="[ARCH=]ID[:VERSION]",
        help="id or name, for an architecture (default: x86_64); may be repeated",
    )
    group.add_argument(
        "--subnet", action="append", default=[], metavar="AZ_ID=SUBNET", help="the subnet of each AZ; may be repeated"
    )
    group.add_argument("--tag", action="append", default=[], metavar="KEY=VALUE", help="of what is created")
    group.add_argument("--fleet-role", default="", metavar="ARN", help="the role by which a Spot Fleet acts")
    group.add_argument("--node-class", default="default", metavar="NAME", help="Karpenter's EC2NodeClass")


def run(arguments: Namespace) -> int:
    """Plan, print, write."""
    asked = demand_words.demand(arguments)
    if arguments.vcpus_per_address < 1:
        raise UsageError("--vcpus-per-address is at least 1", hint="write a whole number")
    market, notes = facts.market(arguments, asked)
    pools = candidates(market, asked.selection)
    running = facts.running(arguments, market)
    factors = _factors(arguments, asked)
    made = plan(asked, pools, market, running, factors=factors)
    made = replace(made, notes=(*made.notes, *notes))
    if arguments.html is not None:
        _write_html(arguments.html, made, asked, pools, market, factors)
    _print(arguments, made, addresses(made, arguments.vcpus_per_address), market, _steps(made, running))
    return 0


def _print(arguments: Namespace, made: Plan, held: Addresses, market: Market, steps: tuple[Step, ...] | None) -> None:
    if arguments.format is not None:
        _print_configuration(arguments, made)
    elif arguments.json:
        print(json.dumps(document(made, held, market.az_names, steps), indent=2))
    else:
        from spotwatch.cli.pools.table import show

        show(made, held, market.az_names, steps)


def _print_configuration(arguments: Namespace, made: Plan) -> None:
    """The configuration to standard output, what its reader has to know to standard error."""
    from spotwatch.pools.formats import Settings, write

    settings = Settings(
        name=arguments.name,
        launch_templates=_launch_templates(arguments.launch_template),
        subnets=_pairs(arguments.subnet, "--subnet AZ_ID=SUBNET"),
        tags=_pairs(arguments.tag, "--tag KEY=VALUE"),
        fleet_role=arguments.fleet_role,
        node_class=arguments.node_class,
    )
    written = write(arguments.format, made, settings)
    print(written.text.rstrip("\n"))
    for note in (*written.notes, *(f"{each.what} relaxed: {each.reason}" for each in made.relaxed), *made.notes):
        print(f"note: {note}", file=stderr)


def _launch_templates(words: Sequence[str]) -> dict[str, "LaunchTemplate"]:
    from spotwatch.pools.formats import LaunchTemplate

    templates = {}
    for word in words:
        architecture, equals, named = word.rpartition("=")
        identity, _, version = named.partition(":")
        known = {"id": identity} if identity.startswith("lt-") else {"name": identity}
        templates[architecture if equals else "x86_64"] = LaunchTemplate(**known, version=version or "$Default")
    return templates


def _pairs(words: Sequence[str], form: str) -> dict[str, str]:
    pairs = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise UsageError(f'"{word}" is incomplete', hint=f"write {form}")
        pairs[key] = value
    return pairs


def _factors(arguments: Namespace, asked: Demand) -> Mapping[str, float] | None:
    if arguments.performance is None:
        return None
    if asked.weights is not Weights.PERFORMANCE:
        raise UsageError("--performance says what performance is", hint="add --weights performance")
    return read_factors(arguments.performance)


def _steps(made: Plan, running: Existing | None) -> tuple[Step, ...] | None:
    """What to start and what to stop, the largest first."""
    if running is None:
        return None
    wanted = {(pool.pool.az_id, pool.pool.type.name): pool.count for pool in made.pools}
    steps = [Step(*pool, wanted.get(pool, 0) - running.get(pool, 0)) for pool in {**wanted, **running}]
    return tuple(sorted((step for step in steps if step.count), key=lambda step: -abs(step.count)))


def _write_html(
    path: Path, made: Plan, asked: Demand, pools: Sequence[Pool], market: Market, factors: Mapping[str, float] | None
) -> None:
    from spotwatch.pools.html_report import render

    page = render(made, frontier(asked, pools, market, factors=factors))
    try:
        write_atomically(str(path), page, mode=0o644)
    except OSError as error:
        raise UsageError(
            printable(f"{path} cannot be written: {error.strerror}"), hint="name a file in a directory of yours"
        ) from None
