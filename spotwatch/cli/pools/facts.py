"""Where a plan's facts come from: the words for it, and the market that they make."""

import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spotwatch.cli.values import duration, not_negative, pairs
from spotwatch.core.capacity import Market, Pool, Source
from spotwatch.core.errors import UsageError
from spotwatch.pools import catalogue
from spotwatch.pools.candidates import candidates
from spotwatch.pools.demand import Demand
from spotwatch.pools.existing_file import existing
from spotwatch.pools.files import market as market_of_files
from spotwatch.pools.near import near
from spotwatch.pools.quota import quota_class

if TYPE_CHECKING:  # boto3 takes a third of a second to import, and is needed only to ask AWS
    from spotwatch.aws.market import ScoreRequest
    from spotwatch.aws.session import Session

PATIENCE: Final = 60.0
"""Seconds for all calls to AWS together; a region's prices are some twenty pages."""

DEFAULT_AGE: Final = 6 * 3600.0
"""Seconds that an answer of AWS is used for; Spot prices change gradually, over days."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare them."""
    group = parser.add_argument_group("where the facts come from", "a file is stronger than AWS's answer")
    group.add_argument("--live", action="store_true", help="ask AWS: types, offerings, prices, interruption bands")
    group.add_argument(
        "--catalog",
        type=Path,
        metavar="PATH",
        help="types and offerings: a folder of CSV or JSON files, or one that the AWS CLI has printed",
    )
    group.add_argument(
        "--prices", type=Path, metavar="FILE", help="Spot prices: CSV, or what describe-spot-price-history prints"
    )
    group.add_argument("--advisor", type=Path, metavar="FILE", help="interruption bands: the Spot Advisor's JSON")
    group.add_argument(
        "--window", type=duration, metavar="TIME", help="prices are means over this time (7d), not those of now"
    )
    group.add_argument(
        "--estimate-prices",
        action="store_true",
        help="pools without a price get on-demand less the advisor's saving, marked as an estimate",
    )
    group.add_argument("--scores", action="store_true", help="with --live: ask for Spot placement scores")
    group.add_argument(
        "--max-age",
        type=duration,
        default=DEFAULT_AGE,
        metavar="TIME",
        help="with --live: use AWS's earlier answers if they are no older (default: 6h)",
    )
    group.add_argument(
        "--patience",
        type=duration,
        default=PATIENCE,
        metavar="TIME",
        help="how long all calls to AWS may take together (default: 1m)",
    )
    _add_account(parser)


def _add_account(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("what the account has")
    group.add_argument("--quotas", action="store_true", help="with --live: keep the account's Spot vCPU quotas")
    group.add_argument(
        "--quota",
        action="append",
        default=[],
        metavar="CLASS=VCPUS",
        help="keep this Spot vCPU quota, such as standard=500; may be repeated",
    )
    group.add_argument(
        "--existing", metavar="FILE|aws", help="what runs already: plan the smallest change to it; aws asks EC2"
    )
    group.add_argument(
        "--existing-tag",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="of what runs already, only what has this tag; may be repeated",
    )


def market(arguments: Namespace, demand: Demand) -> tuple[Market, tuple[str, ...]]:
    """What is known of the region, and what could not be had.

    Raises:
        UsageError, InputError, AwsError: as the words or the world have it.
    """
    _check_words(arguments)
    base, notes = _live(arguments, demand) if arguments.live else (None, ())
    found = market_of_files(
        demand.region,
        catalog=arguments.catalog,
        prices=arguments.prices,
        advisor=arguments.advisor,
        base=base,
        window=timedelta(seconds=arguments.window) if arguments.window and arguments.prices else None,
        estimate_prices=arguments.estimate_prices,
    )
    return found, notes


def with_quotas(known: Market, words: Sequence[str], pools: Sequence[Pool]) -> Market:
    """The market with the quotas that `--quota` states, which are stronger than what AWS says.

    Raises:
        UsageError: a word is none, or names a class that no candidate has.
    """
    if not words:
        return known
    classes = {quota_class(pool.type.parts) for pool in pools}
    stated = pairs(words, "--quota CLASS=VCPUS")
    for name in stated:
        if name not in classes:
            raise UsageError(f'no candidate counts towards a Spot quota "{name}"', hint=near(name, classes))
    try:
        quotas = {name: not_negative(text) for name, text in stated.items()}
    except ArgumentTypeError as error:
        raise UsageError(f"--quota: {error}", hint="write a number of vCPU, such as --quota standard=500") from None
    source = Source("Spot quotas", "the command line", datetime.now(UTC).date(), ", ".join(sorted(quotas)))
    return replace(known, quotas={**known.quotas, **quotas}, sources=(*known.sources, source))


def running(arguments: Namespace, known: Market) -> Mapping[tuple[str, str], int] | None:
    """What runs already, by AZ id and type; None if nobody asked.

    Raises:
        InputError, AwsError: it cannot be had.
    """
    if arguments.existing is None:
        return None
    if arguments.existing != "aws":
        return existing(arguments.existing, known)
    from spotwatch.aws.instance_types import availability_zones
    from spotwatch.aws.running import running_spot

    ec2 = _session(known.region, arguments.patience).api("ec2", region=known.region)
    return running_spot(ec2, availability_zones(ec2), tags=pairs(arguments.existing_tag, "--existing-tag KEY=VALUE"))


def _check_words(arguments: Namespace) -> None:
    for word in ("quotas", "scores"):
        if getattr(arguments, word) and not arguments.live:
            raise UsageError(f"--{word} asks AWS", hint="add --live")
    if arguments.window and not (arguments.live or arguments.prices):
        raise UsageError("--window is of prices, and there are none", hint="add --live or --prices")
    if arguments.existing_tag and arguments.existing != "aws":
        raise UsageError("--existing-tag chooses among what EC2 says", hint="add --existing aws")


def _live(arguments: Namespace, demand: Demand) -> tuple[Market, tuple[str, ...]]:
    from spotwatch.aws.market import live_market
    from spotwatch.aws.spot_advisor import FEED_URL
    from spotwatch.host.cache import Cache, cache_directory

    remarks: list[str] = []
    cache = Cache(
        cache_directory(os.environ, root=os.geteuid() == 0),
        max_age=arguments.max_age,
        now=lambda: datetime.now(UTC),
        remark=remarks.append,
    )
    found, notes = live_market(
        _session(demand.region, arguments.patience),
        demand.region,
        cache,
        now=datetime.now(UTC),
        window_days=(arguments.window or 0.0) / 86400.0,
        types=_price_patterns(demand),
        prices=arguments.prices is None,
        scores=_score_request(demand) if arguments.scores else None,
        quotas=arguments.quotas,
        advisor=None if arguments.advisor else FEED_URL,
    )
    return found, tuple(dict.fromkeys((*notes, *remarks)))  # what is wrong with a folder is told by each answer


def _session(region: str, patience: float) -> "Session":
    from spotwatch.aws.session import Session
    from spotwatch.host.clock import Clock

    clock = Clock()
    return Session(clock, until=clock.now() + patience, region=region)


def _price_patterns(demand: Demand) -> tuple[str, ...]:
    """As few types as the selection allows: a region's whole price history is many pages."""
    selection = demand.selection
    if selection.allow and not any("[" in pattern for pattern in selection.allow):  # which EC2's filters do not know
        return selection.allow
    if selection.families:
        return tuple(f"{family}.*" for family in selection.families)
    return tuple(f"{letters}*" for letters in selection.classes)


def _score_request(demand: Demand) -> "ScoreRequest":
    """About the types of the packaged catalogue that the selection leaves: the live ones are not known yet."""
    from spotwatch.aws.market import ScoreRequest

    pools = candidates(catalogue.market(demand.region), demand.selection)
    return ScoreRequest(tuple(sorted({pool.type.name for pool in pools})), round(demand.capacity))
