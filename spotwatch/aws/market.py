"""Everything that AWS says of a region's Spot capacity pools, read once and kept for a while.

Instance types, offerings and Spot prices are necessary: without one of them there is an error. The Spot Advisor's feed,
quotas, placement scores and on-demand prices are not: what could not be had of them is told, and the plan goes without.
"""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any, Final

import botocore

from spotwatch.aws.facts import Cache, Facts, Question
from spotwatch.aws.instance_types import availability_zones, instance_types, offerings
from spotwatch.aws.on_demand_prices import on_demand_prices
from spotwatch.aws.placement_scores import placement_scores
from spotwatch.aws.price_list import home
from spotwatch.aws.service_quotas import spot_quotas
from spotwatch.aws.session import Api, Session
from spotwatch.aws.spot_advisor import FEED_URL, interruptions, spot_advisor
from spotwatch.aws.spot_prices import Pool, spot_prices
from spotwatch.core.capacity import InstanceType, Market
from spotwatch.core.errors import AwsError, UsageError

FEED_PATIENCE: Final = 15.0
"""Seconds for the Spot Advisor's feed, which a host without a way to the internet never gets."""

PRICE_LIST_PATIENCE: Final = 30.0
"""Seconds for the on-demand prices of a region: about a dozen pages of a megabyte."""


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """What placement scores are asked about: all of `vcpus` in one AZ, of at least three types."""

    instance_types: tuple[str, ...]
    vcpus: int


def live_market(
    session: Session,
    region: str,
    cache: Cache,
    *,
    now: datetime,
    window_days: float = 0.0,
    types: Sequence[str] = (),
    prices: bool = True,
    on_demand: bool = True,
    scores: ScoreRequest | None = None,
    quotas: bool = False,
    advisor: str | None = FEED_URL,
) -> tuple[Market, tuple[str, ...]]:
    """What AWS says of a region, and what the reader has to know besides: what could not be had, and why.

    Args:
        session: its deadline holds for all calls together.
        region: such as `ap-northeast-1`.
        cache: an answer that is young enough is not asked for again; when it was kept is its source's date.
        now: the time in UTC.
        window_days: Spot prices are means over so many days, weighted by time; 0: the prices of now.
        types: patterns of type names such as `c6i.*`, whose prices are needed; empty: all.
        prices: ask for Spot prices, which are not needed where a file has them.
        on_demand: ask for on-demand prices, likewise.
        scores: ask for placement scores.
        quotas: ask for the Spot vCPU quotas.
        advisor: the URL of the Spot Advisor's feed; None: do not ask.

    Raises:
        UsageError: the region is none that is known, the window too long, or placement scores would mean nothing.
        AwsError: a necessary fact could not be had.
    """
    ec2 = session.api("ec2", region=region)
    _check_region(session, ec2)
    facts = Facts(cache, (region, session.identity, ec2.endpoint), now)
    az_ids = facts.known(_zones(ec2))
    known_types = facts.known(_types(ec2, facts.remarks.append))
    offered = facts.known(_offerings(ec2, az_ids))
    spot = facts.known(_prices(ec2, az_ids, now, window_days, types)) if prices else {}
    quota_vcpus = facts.known_if_possible(_quotas(session, region), {}) if quotas else {}
    zone_scores = facts.known_if_possible(_scores(ec2, scores), {}) if scores else {}
    bands = _advised(facts, session, region, advisor) if advisor else {}
    on_demand_usd = facts.known_if_possible(_on_demand(session, region), {}) if on_demand else {}
    market = Market(
        region=region,
        types=known_types,
        offerings=offered,
        spot_prices=spot,
        on_demand_prices={name: usd for name, usd in on_demand_usd.items() if name in known_types},
        interruptions=bands,
        placement_scores=zone_scores,
        quotas=quota_vcpus,
        az_names={az_id: name for name, az_id in az_ids.items()},
        sources=tuple(facts.sources),
    )
    return market, tuple(facts.remarks)


def _check_region(session: Session, ec2: Api) -> None:
    """Whether there can be an answer from the region. A name that is none would be looked up until the time is up.

    Raises:
        UsageError: botocore does not know the region, and no endpoint of another name has been set for it.
    """
    known = session.known_regions("ec2")
    if ec2.region not in known and ec2.region in ec2.endpoint:
        near = difflib.get_close_matches(ec2.region, known, n=3) or sorted(known)
        raise UsageError(
            f'there is no region "{ec2.region}" that botocore {botocore.__version__} knows',
            hint=f"write one of {', '.join(near)}; a newer botocore knows newer regions",
        )


def _as_it_is(value: Any) -> Any:
    return value


def _zones(ec2: Api) -> Question[dict[str, str]]:
    return Question("AZ names", "EC2 DescribeAvailabilityZones", lambda: availability_zones(ec2), _as_it_is, dict)


_TYPE_FIELDS: Final = tuple(one.name for one in fields(InstanceType) if one.init)


def _types(ec2: Api, remark: Callable[[str], None]) -> Question[dict[str, InstanceType]]:
    def pack(types: dict[str, InstanceType]) -> list[list[Any]]:
        return [[getattr(one, name) for name in _TYPE_FIELDS] for one in types.values()]

    def unpack(kept: list[list[Any]]) -> dict[str, InstanceType]:
        types = [dict(zip(_TYPE_FIELDS, values, strict=True)) for values in kept]
        return {one["name"]: InstanceType(**{**one, "architectures": tuple(one["architectures"])}) for one in types}

    return Question(
        "instance types", "EC2 DescribeInstanceTypes", lambda: instance_types(ec2, remark), pack, unpack, _TYPE_FIELDS
    )


def _offerings(ec2: Api, az_ids: dict[str, str]) -> Question[dict[str, tuple[str, ...]]]:
    return Question(
        "offerings",
        "EC2 DescribeInstanceTypeOfferings",
        lambda: offerings(ec2, az_ids.values()),
        _as_it_is,
        lambda kept: {name: tuple(zones) for name, zones in kept.items()},
    )


def _prices(
    ec2: Api, az_ids: dict[str, str], now: datetime, window_days: float, types: Sequence[str]
) -> Question[dict[Pool, float]]:
    return Question(
        "Spot prices",
        "EC2 DescribeSpotPriceHistory",
        lambda: spot_prices(ec2, az_ids, now=now, window=timedelta(days=window_days), types=types),
        lambda prices: [[az_id, name, usd] for (az_id, name), usd in prices.items()],
        lambda kept: {(az_id, name): float(usd) for az_id, name, usd in kept},
        (f"{window_days:g} days", *sorted(types)),
        f"mean over {window_days:g} days" if window_days else "",
    )


def _on_demand(session: Session, region: str) -> Question[dict[str, float]]:
    def ask() -> dict[str, float]:
        until = session.clock.now() + PRICE_LIST_PATIENCE
        return on_demand_prices(session.api("pricing", region=home(region), until=until), region)

    return Question(
        "on-demand prices",
        "Price List GetProducts",
        ask,
        _as_it_is,
        lambda kept: {name: float(usd) for name, usd in kept.items()},
        note="Linux, shared tenancy",
    )


def _quotas(session: Session, region: str) -> Question[dict[str, float]]:
    return Question(
        "Spot quotas",
        "Service Quotas ListServiceQuotas",
        lambda: spot_quotas(session.api("service-quotas", region=region)),
        _as_it_is,
        lambda kept: {name: float(vcpus) for name, vcpus in kept.items()},
    )


def _scores(ec2: Api, request: ScoreRequest) -> Question[dict[str, int]]:
    return Question(
        "placement scores",
        "EC2 GetSpotPlacementScores",
        lambda: placement_scores(
            ec2, instance_types=request.instance_types, capacity=request.vcpus, regions=[ec2.region]
        ),
        _as_it_is,
        lambda kept: {az_id: int(score) for az_id, score in kept.items()},
        (str(request.vcpus), *sorted(request.instance_types)),
        f"of {request.vcpus} vCPU in one AZ, with {len(set(request.instance_types))} types",
    )


@dataclass(frozen=True, slots=True)
class _Advice:
    """What the Spot Advisor's feed says of the region."""

    interruptions: dict[str, float]
    modified: date | None
    etag: str

    def packed(self) -> list[Any]:
        """What JSON can hold."""
        return [self.interruptions, self.modified.isoformat() if self.modified else None, self.etag]


_NO_ADVICE: Final = _Advice({}, None, "")


def _advised(facts: Facts, session: Session, region: str, url: str) -> dict[str, float]:
    """The interruption bands. AWS dates the feed, and it is transferred again only if it has changed."""
    words = ("interruption bands", region, url)
    advice = _kept_advice(facts.cache.read(words))
    if advice is _NO_ADVICE:
        old = _kept_advice(facts.cache.read(words, any_age=True))
        try:
            advice = _fetched(session, region, url, old)
        except AwsError as error:
            facts.missing("newer interruption bands" if old.interruptions else "interruption bands", error)
            advice = old
        else:
            facts.cache.write(words, advice.packed())
    if advice.interruptions:
        facts.add_source("interruption bands", url, advice.modified)
    return advice.interruptions


def _fetched(session: Session, region: str, url: str, old: _Advice) -> _Advice:
    until = min(session.until, session.clock.now() + FEED_PATIENCE)
    feed = spot_advisor(session.clock, until, url=url, etag=old.etag)
    return old if feed is None else _Advice(interruptions(feed, region), feed.modified, feed.etag)


def _kept_advice(kept: tuple[Any, datetime] | None) -> _Advice:
    if kept is None:
        return _NO_ADVICE
    try:
        bands, modified, etag = kept[0]
        return _Advice(dict(bands), date.fromisoformat(modified) if modified else None, str(etag))
    except (TypeError, ValueError):
        return _NO_ADVICE
