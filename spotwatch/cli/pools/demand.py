"""The words for what is asked of a plan: how much, of which instance types, and how much of it may be lost at once."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace, _ArgumentGroup
from math import ceil, floor
from pathlib import Path
from typing import Final

from spotwatch.cli.values import bounds, count, not_negative, positive, share
from spotwatch.core.capacity import Group
from spotwatch.core.errors import UsageError
from spotwatch.pools.demand import Demand, Mode, Selection, Weights

MOST_VCPUS: Final = 1_000_000
"""Of one instance, where nobody has said; the largest have a thousandth of it."""

_DEFAULTS: Final = Demand("", 0.0)
_ANY: Final = Selection()


def add_arguments(parser: ArgumentParser) -> None:
    """Declare them."""
    parser.add_argument("--region", help="such as ap-northeast-1")
    parser.add_argument(
        "--vcpus", type=positive, metavar="N", help="how much is needed, in vCPU (with --weights, in its units)"
    )
    parser.add_argument(
        "--on-demand", type=not_negative, metavar="N", default=0.0, help="of it, how much is bought on demand"
    )
    _add_selection(parser)
    _add_safety(parser)
    _add_reckoning(parser)


def _add_selection(parser: ArgumentParser) -> None:
    group = parser.add_argument_group(
        "which instance types and zones", "each may be repeated, or be a list with commas"
    )
    _add_list(group, "--class", "classes", "CLASS", "such as c")
    _add_list(group, "--family", "families", "FAMILY", "such as c6i")
    _add_list(group, "--generation", "generations", "N", "such as 6")
    _add_list(group, "--size", "sizes", "SIZE", "such as 2xlarge")
    _add_list(group, "--type", "allow", "PATTERN", "only types like this, such as 'c6*.*xlarge'")
    _add_list(group, "--exclude", "deny", "PATTERN", "no types like this")
    _add_list(group, "--az", "az_ids", "AZ_ID", "such as apne1-az4; ids, not the account's names")
    _add_list(group, "--arch", "architectures", "ARCH", "x86_64 (default), arm64 or both")
    _add_list(group, "--hypervisor", "hypervisors", "NAME", "nitro (default), xen")
    group.add_argument(
        "--instance-vcpus",
        type=bounds,
        metavar="LEAST-MOST",
        default=(_ANY.least_vcpus, _ANY.most_vcpus),
        help=f"vCPU of one instance (default: {_ANY.least_vcpus}-{_ANY.most_vcpus})",
    )
    group.add_argument("--memory", type=bounds, metavar="LEAST-MOST", help="GiB for each vCPU, such as 4-8")
    group.add_argument("--local-disk", choices=["yes", "no"], help="only types with instance store, or without")
    for kind in ("burstable", "flex", "bare-metal", "accelerators"):
        group.add_argument(f"--{kind}", action="store_true", help=f"allow {kind.replace('-', ' ')} types too")


def _add_list(group: _ArgumentGroup, word: str, name: str, metavar: str, text: str) -> None:
    group.add_argument(word, dest=name, action="append", default=[], metavar=metavar, help=text)


def _add_safety(parser: ArgumentParser) -> None:
    group = parser.add_argument_group(
        "how much may be lost at once", "a SHARE is of the Spot capacity, and is written 5% or 0.05"
    )
    for kind in Group:
        group.add_argument(f"--cap-{kind}", type=share, metavar="SHARE", help=f"the most in one {_LONG[kind]}")
    group.add_argument(
        "--survive",
        action="append",
        default=[],
        type=_survival,
        metavar="KIND[=SHARE]",
        help="so much of what is needed is left whichever one pool, type, family, generation or az is lost "
        "(default: 100%%); may be repeated",
    )
    group.add_argument(
        "--least-pools", type=count, default=_DEFAULTS.least_pools, metavar="N", help="pools at least (default: 20)"
    )
    group.add_argument(
        "--least-effective-pools",
        type=positive,
        default=_DEFAULTS.least_effective_pools,
        metavar="N",
        help="the effective number of pools, 1 / sum of squared shares, at least (default: 20)",
    )


def _add_reckoning(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("how it is reckoned")
    group.add_argument(
        "--slack", type=share, default=_DEFAULTS.slack, metavar="SHARE", help="more than asked at most (default: 2%%)"
    )
    group.add_argument(
        "--loss-cost",
        type=not_negative,
        default=_DEFAULTS.loss_usd_per_vcpu,
        metavar="USD",
        help="what the interruption of one vCPU costs (default: 0.02)",
    )
    group.add_argument(
        "--mode",
        choices=list(Mode),
        default=Mode.FREE,
        help="free: any number anywhere; aligned: about the same capacity in each pool, which one EC2 Fleet can hold",
    )
    group.add_argument(
        "--unevenness",
        type=share,
        default=_DEFAULTS.unevenness,
        metavar="SHARE",
        help="with --mode aligned: less than the mean that a pool may hold (default: 20%%; 0%%: all alike)",
    )
    group.add_argument(
        "--weights",
        choices=list(Weights),
        default=Weights.VCPUS,
        help="what counts as capacity: vCPU (default), or vCPU times what one of its family counts",
    )
    group.add_argument(
        "--performance", type=Path, metavar="FILE", help='JSON: what a vCPU of each family counts, {"c7a": 1.7}'
    )
    group.add_argument("--strict", action="store_true", help="refuse rather than relax a cap")


_LONG: Final = {
    Group.POOL: "pool (default: 5%%)",
    Group.TYPE: "instance type, in all zones (default: 10%%)",
    Group.FAMILY: "family (default: 25%%)",
    Group.GENERATION: "generation (default: 50%%)",
    Group.AZ: "zone (default: 25%%, or 1.2 / number of zones)",
}


def demand(arguments: Namespace) -> Demand:
    """What the words ask for.

    Raises:
        UsageError: they do not say what has to be said, or contradict each other.
    """
    if not arguments.region or not arguments.vcpus:
        raise UsageError(
            "--region and --vcpus are needed",
            hint="such as spotwatch pools --region ap-northeast-1 --class c --vcpus 1000; --help has all words",
        )
    if arguments.on_demand >= arguments.vcpus:
        raise UsageError(
            "--on-demand leaves nothing for Spot", hint="--vcpus is the sum of Spot and on-demand capacity"
        )
    caps = {kind: value for kind in Group if (value := getattr(arguments, f"cap_{kind}")) is not None}
    return Demand(
        region=arguments.region,
        capacity=arguments.vcpus,
        selection=_selection(arguments),
        caps=caps,
        least_pools=arguments.least_pools,
        least_effective_pools=arguments.least_effective_pools,
        slack=arguments.slack,
        loss_usd_per_vcpu=arguments.loss_cost,
        survive=dict(arguments.survive),
        on_demand_capacity=arguments.on_demand,
        mode=Mode(arguments.mode),
        unevenness=arguments.unevenness,
        weights=Weights(arguments.weights),
        strict=arguments.strict,
    )


def _selection(arguments: Namespace) -> Selection:
    least_memory, most_memory = arguments.memory or (None, None)
    return Selection(
        classes=_words(arguments.classes),
        families=_words(arguments.families),
        generations=tuple(_number(word) for word in _words(arguments.generations)),
        sizes=_words(arguments.sizes),
        least_vcpus=ceil(arguments.instance_vcpus[0]),
        most_vcpus=floor(min(arguments.instance_vcpus[1], MOST_VCPUS)),
        least_gib_per_vcpu=least_memory,
        most_gib_per_vcpu=most_memory,
        architectures=_architectures(_words(arguments.architectures)),
        hypervisors=_words(arguments.hypervisors) or _ANY.hypervisors,
        local_disk=None if arguments.local_disk is None else arguments.local_disk == "yes",
        burstable=arguments.burstable,
        bare_metal=arguments.bare_metal,
        flex=arguments.flex,
        accelerators=arguments.accelerators,
        allow=_words(arguments.allow),
        deny=_words(arguments.deny),
        az_ids=_words(arguments.az_ids),
    )


def _words(given: list[str]) -> tuple[str, ...]:
    return tuple(word.strip() for text in given for word in text.split(",") if word.strip())


def _architectures(words: tuple[str, ...]) -> tuple[str, ...]:
    return ("x86_64", "arm64") if words == ("both",) else words or _ANY.architectures


def _number(word: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise UsageError(f'"{word}" is no generation', hint="write a number, such as --generation 6") from None


def _survival(text: str) -> tuple[Group, float]:
    kind, _, left = text.partition("=")
    if kind not in list(Group):
        raise ArgumentTypeError(f'"{kind}" is none of {", ".join(Group)}')
    return Group(kind), share(left) if left else 1.0
