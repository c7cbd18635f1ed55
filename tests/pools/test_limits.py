"""Every limit: its violation is found, its border value passes."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import pytest

from spotwatch.pools.limits import RULES, Configuration, Facts, Fleet, Kind, Override, Requirements, Severity, examine
from spotwatch.pools.limits.requests import (
    PlacementScoreRequest,
    address_findings,
    dns_findings,
    placement_score_findings,
    price_history_findings,
    score_findings,
)
from tests.pools.plans import instance_type


def overrides(count: int, **fields: object) -> tuple[Override, ...]:
    """So many pools of `c6i.large`."""
    return tuple(replace(Override(f"Overrides[{i}]", "c6i.large", "use1-az1"), **fields) for i in range(count))  # type: ignore[arg-type]


def fleet(**fields: object) -> Fleet:
    return replace(Fleet(Kind.EC2_FLEET, "web", "web", overrides(1), spot=1, target=1), **fields)  # type: ignore[arg-type]


def group(**fields: object) -> Fleet:
    base = Fleet(Kind.AUTO_SCALING_GROUP, "web", "web", overrides(1), spot=1, target=1)
    return replace(base, **fields)  # type: ignore[arg-type]


def types(names: Iterable[str]) -> tuple[Override, ...]:
    return tuple(Override(f"Overrides[{i}]", name, "use1-az1") for i, name in enumerate(names))


def by_attributes(**fields: object) -> tuple[Override, ...]:
    return (replace(Override("Overrides[0]", requirements=Requirements()), **fields),)  # type: ignore[arg-type]


def patterns(count: int) -> tuple[Override, ...]:
    return by_attributes(requirements=Requirements(allowed=tuple(f"c{i}.*" for i in range(count))))


SUBNETS = {"subnet-a": "use1-az1", "subnet-b": "use1-az1", "subnet-c": "use1-az2"}
KNOWN = {
    **{name: instance_type(name) for name in ("c6i.large", "c7i.large", "c6g.large", "c6i.2xlarge")},
    "c4.large": instance_type("c4.large", hypervisor="xen"),
    "c9x.large": instance_type("c9x.large", spot=False),
}
FACTS = Facts(KNOWN)


@dataclass(frozen=True)
class Case:
    """A rule, what breaks it, and what is just within it."""

    rule: str
    breaks: tuple[Fleet, ...]
    holds: tuple[Fleet, ...]
    facts: Facts = FACTS


def case(rule: str, breaks: Fleet, holds: Fleet, facts: Facts | None = None) -> Case:
    return Case(rule, (breaks,), (holds,), facts or FACTS)


CASES = (
    case("type-unknown", fleet(overrides=types(["c6i.gigantic"])), fleet(overrides=types(["c6i.large"]))),
    case("fleet-pools", fleet(overrides=()), fleet(overrides=overrides(1))),
    case("fleet-overrides", fleet(overrides=overrides(301)), fleet(overrides=overrides(300))),
    case("fleet-overrides", fleet(overrides=overrides(301)), fleet(overrides=overrides(301), fleet_type="instant")),
    case("fleet-launch-template-configs", fleet(template_configs=51), fleet(template_configs=50)),
    case("fleet-target", fleet(target=10_001), fleet(target=10_000)),
    case("fleet-whole-target", fleet(target=-1), fleet(target=0)),
    case("fleet-whole-target", fleet(target=1.5), fleet(target=2)),
    case("fleet-type", fleet(fleet_type="sometimes"), fleet(fleet_type="request")),
    Case("region-target", (fleet(target=10_000),) * 10 + (fleet(target=1),), (fleet(target=10_000),) * 10),
    case(
        "fleet-subnets",
        fleet(overrides=overrides(1, az_id="", subnets=("subnet-a", "subnet-b"))),
        fleet(overrides=overrides(1, az_id="", subnets=("subnet-a", "subnet-c"))),
    ),
    case("fleet-az-name-or-id", fleet(overrides=overrides(1, az_name="us-east-1a")), fleet(overrides=overrides(1))),
    case("fleet-strategy", fleet(strategy="cheapest"), fleet(strategy="diversified")),
    case("fleet-weight", fleet(overrides=overrides(1, weight=0.0)), fleet(overrides=overrides(1, weight=0.5))),
    case(
        "fleet-pools-to-use",
        fleet(strategy="diversified", pools_to_use=3),
        fleet(strategy="lowest-price", pools_to_use=3),
    ),
    case("fleet-pools-to-use", fleet(pools_to_use=0), fleet(pools_to_use=1)),
    case(
        "fleet-instant-only",
        fleet(instant_only=("SpotOptions.MinTargetCapacity",)),
        fleet(instant_only=("SpotOptions.MinTargetCapacity",), fleet_type="instant"),
    ),
    case(
        "fleet-share-below-weight",
        fleet(strategy="diversified", spot=32, overrides=overrides(3, weight=16.0)),
        fleet(strategy="diversified", spot=48, overrides=overrides(3, weight=16.0)),
    ),
    case(
        "group-instance-types",
        group(overrides=types(f"c{i}.large" for i in range(41))),
        group(overrides=types(f"c{i}.large" for i in range(40))),
    ),
    case(
        "group-launch-templates",
        group(launch_templates=tuple(map(str, range(21)))),
        group(launch_templates=tuple(map(str, range(20)))),
    ),
    case(
        "group-weight",
        group(target=9999, overrides=overrides(1, weight=1000.0)),
        group(target=9999, overrides=overrides(1, weight=999.0)),
    ),
    case("group-weight", group(overrides=overrides(1, weight=0.0)), group(overrides=overrides(1, weight=1.0))),
    case("group-weight", group(target=9, overrides=overrides(1, weight=1.5)), group()),
    case(
        "group-all-weights",
        group(target=9, overrides=overrides(1) + overrides(1, weight=1.0)),
        group(target=9, overrides=overrides(2, weight=1.0)),
    ),
    case("group-strategy", group(strategy="diversified"), group(strategy="price-capacity-optimized")),
    case("group-strategy", group(strategy="cheapest"), group(strategy="lowest-price")),
    case("group-spot-pools", group(pools_to_use=21), group(pools_to_use=20)),
    case("group-spot-pools", group(pools_to_use=0), group(pools_to_use=1)),
    case(
        "group-spot-pools-strategy",
        group(pools_to_use=2, strategy="capacity-optimized"),
        group(pools_to_use=2, strategy="lowest-price"),
    ),
    case(
        "group-desired-capacity",
        group(target=31, overrides=overrides(1, weight=16.0)),
        group(target=32, overrides=overrides(1, weight=16.0)),
    ),
    case("attributes-sets", group(overrides=by_attributes() * 5), group(overrides=by_attributes() * 4)),
    case("attributes-patterns", fleet(overrides=patterns(401)), fleet(overrides=patterns(400))),
    case("attributes-types", fleet(overrides=by_attributes() + overrides(1)), fleet(overrides=by_attributes())),
    case("attributes-weights", fleet(overrides=by_attributes(weight=2.0)), fleet(overrides=by_attributes())),
    case("attributes-priorities", fleet(overrides=by_attributes(priority=1.0)), fleet(overrides=by_attributes())),
    case(
        "attributes-priorities",
        fleet(overrides=by_attributes(), strategy="capacity-optimized-prioritized"),
        fleet(overrides=by_attributes(), strategy="capacity-optimized"),
    ),
    case(
        "attributes-diversified",
        fleet(overrides=by_attributes(), strategy="diversified"),
        fleet(overrides=by_attributes(), strategy="price-capacity-optimized"),
    ),
    case(
        "attributes-generations",
        fleet(overrides=by_attributes(requirements=Requirements(generations=("current",)))),
        fleet(overrides=by_attributes(requirements=Requirements(generations=("current", "previous")))),
    ),
    case("type-name", fleet(overrides=types(["huge"])), fleet(overrides=types(["c6i.large"]))),
    case("no-spot", fleet(overrides=types(["hpc7a.12xlarge"])), fleet(overrides=types(["hpc7a.12xlarge"]), spot=0)),
    case("no-spot", fleet(overrides=types(["c8ine.large"])), fleet(overrides=types(["c8in.large"]))),
    case("no-spot", fleet(overrides=types(["c9x.large"])), fleet(overrides=types(["c6i.large"]))),
    case(
        "legacy-az",
        fleet(overrides=overrides(1, az_id="use1-az3")),
        fleet(overrides=overrides(1, az_id="use1-az3", instance_type="c4.large")),
    ),
    case("legacy-az", group(overrides=overrides(1, az_id=""), azs=("use1-az3",)), group(azs=("use1-az2",))),
    case("one-architecture", fleet(overrides=types(["c6i.large", "c6g.large"])), fleet(overrides=types(["c6i.large"]))),
    case(
        "one-architecture",
        fleet(overrides=types(["c6i.large", "c6g.large"])),
        fleet(overrides=(*types(["c6i.large"]), Override("o", "c6g.large", "use1-az1", launch_template="arm"))),
    ),
    case("one-hypervisor", fleet(overrides=types(["c6i.large", "c4.large"])), fleet(overrides=types(["c4.large"]))),
    case("burstable", fleet(overrides=types(["t3.large"])), fleet(overrides=types(["c6i.large"]))),
    case("burstable", fleet(overrides=types(["c7i-flex.large"])), fleet(overrides=types(["c7i.large"]))),
    case(
        "spot-quota",
        fleet(spot=33, overrides=overrides(1, weight=2.0)),
        fleet(spot=32, overrides=overrides(1, weight=2.0)),
        Facts(KNOWN, quotas={"standard": 32.0}),
    ),
)  # fmt: skip


def broken(fleets: tuple[Fleet, ...], facts: Facts) -> set[str]:
    return {finding.rule for finding in examine(Configuration("test", fleets, SUBNETS), facts)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_a_rule_finds_its_violation(case: Case) -> None:
    assert case.rule in broken(case.breaks, case.facts)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_a_rule_passes_its_border_value(case: Case) -> None:
    assert case.rule not in broken(case.holds, case.facts)


def test_every_rule_has_a_case() -> None:
    assert {rule.name for rule in RULES} == {case.rule for case in CASES}


def test_every_finding_says_where_what_and_what_to_do() -> None:
    for one in CASES:
        for finding in examine(Configuration("test", one.breaks, SUBNETS), one.facts):
            assert finding.what
            assert finding.cure
            assert finding.source


def test_what_aws_refuses_comes_first() -> None:
    both = fleet(strategy="cheapest", overrides=types(["t3.large"]))
    severities = [finding.severity for finding in examine(Configuration("test", (both,)))]
    assert severities == [Severity.REFUSED, Severity.UNWISE]


def test_without_facts_no_rule_invents_any() -> None:
    both = fleet(overrides=types(["c6i.large", "c6g.large"]), spot=1e6, target=1)
    assert examine(Configuration("test", (both,))) == ()


def score_rules(types: int, regions: int = 0) -> set[str]:
    request = PlacementScoreRequest([f"c{i}.large" for i in range(types)], [f"r-{i}" for i in range(regions)])
    return {finding.rule for finding in placement_score_findings(request)}


@pytest.mark.parametrize(
    ("types", "regions", "rules"),
    [
        (0, 1, {"scores-types"}), (2, 1, {"scores-few-types"}), (3, 1, set()), (1000, 10, set()),
        (1001, 10, {"scores-types"}), (3, 11, {"scores-regions"}),
    ],
)  # fmt: skip
def test_a_placement_score_request_has_limits(types: int, regions: int, rules: set[str]) -> None:
    assert score_rules(types, regions) == rules


@pytest.mark.parametrize(("score", "found"), [(0, True), (1, False), (10, False), (11, True)])
def test_a_placement_score_is_1_to_10(score: int, found: bool) -> None:
    assert bool(list(score_findings(score))) is found


def test_the_price_history_ends_after_90_days_and_is_one_product_s() -> None:
    assert not list(price_history_findings(90, ["Linux/UNIX"]))
    assert [finding.rule for finding in price_history_findings(91, [])] == [
        "price-history-window",
        "price-history-product",
    ]


def test_an_instance_holds_interfaces_times_addresses() -> None:
    assert not list(address_findings(instance_type("c6i.large"), 60))
    assert [finding.rule for finding in address_findings(instance_type("c6i.large"), 61)] == ["addresses"]


def test_an_answer_carries_8_records() -> None:
    assert not list(dns_findings("web.example.com", 8))
    assert [finding.rule for finding in dns_findings("web.example.com", 9)] == ["dns-multivalue"]
