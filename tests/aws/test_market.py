"""A whole region is read once and kept; what is necessary is there or it is an error, what is not is told."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from werkzeug import Response

from spotwatch.aws.market import PRICE_LIST_PATIENCE, ScoreRequest, live_market
from spotwatch.aws.session import Session
from spotwatch.core.capacity import Market, Source
from spotwatch.core.errors import AwsDenied, AwsError, AwsNotFound, AwsUnreachable, UsageError
from spotwatch.host.cache import Cache
from tests.aws.answers import (
    change,
    history,
    price_list,
    price_list_denied,
    product,
    quotas,
    quotas_denied,
    scores,
    zones,
)
from tests.aws.conftest import ScriptedAws, VirtualClock, refusal, throttled, unauthorized, xml
from tests.aws.test_ec2_readers import THREE, types_page
from tests.aws.test_spot_advisor import fed

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
HOURS = 6
SPOT_PRICE = "DescribeSpotPriceHistory"


def offered(*items: tuple[str, str]) -> Response:
    inner = "".join(
        f"<item><instanceType>{name}</instanceType><locationType>availability-zone-id</locationType>"
        f"<location>{az_id}</location></item>"
        for name, az_id in items
    )
    operation = "DescribeInstanceTypeOfferings"
    return xml(operation, f"<instanceTypeOfferingSet>{inner}</instanceTypeOfferingSet>")


class Asked:
    """One command after another asks for the market of a region; the disk stays, the time is the test's."""

    def __init__(self, make_session: Callable[..., Session], directory: Path, feed: str) -> None:
        self.make_session = make_session
        self.directory = directory
        self.feed = feed
        self.now = NOON
        self.remarks: list[str] = []

    def __call__(self, region: str = "us-east-1", **options: Any) -> tuple[Market, tuple[str, ...]]:
        cache = Cache(str(self.directory), max_age=HOURS * 3600, now=lambda: self.now, remark=self.remarks.append)
        options = {"advisor": self.feed, **options}
        return live_market(self.make_session(region), region, cache, now=self.now, **options)


@pytest.fixture
def ask(aws: ScriptedAws, make_session: Callable[..., Session], tmp_path: Path) -> Asked:
    """Everything answers well."""
    aws.lay("DescribeAvailabilityZones", zones())
    aws.lay("DescribeInstanceTypes", xml("DescribeInstanceTypes", types_page("c6i.2xlarge", "m6i.2xlarge")))
    aws.lay("DescribeInstanceTypeOfferings", offered(("c6i.2xlarge", "use1-az2"), ("c6i.2xlarge", "use1-az1")))
    aws.lay(SPOT_PRICE, history(change("us-east-1a", "c6i.2xlarge", "2026-11-22T11:00:00Z", "0.12")))
    aws.lay("GetSpotPlacementScores", scores({"use1-az1": 9}))
    aws.lay("ListAWSDefaultServiceQuotas", quotas({}))
    aws.lay("ListServiceQuotas", quotas({"All Standard (A, C) Spot Instance Requests": 640.0}))
    aws.lay("/feed.json", fed())
    aws.lay("GetProducts", price_list(product("c6i.2xlarge", "0.3400000000"), product("x9.large", "9.0000000000")))
    return Asked(make_session, tmp_path / "cache", aws.url.rstrip("/") + "/feed.json")


EVERYTHING: dict[str, Any] = {"quotas": True, "scores": ScoreRequest(THREE, 1000), "window_days": 7}


def test_a_market_has_everything_that_was_asked_for_each_with_its_source(ask: Asked) -> None:
    market, notes = ask(**EVERYTHING)
    assert notes == ()
    assert market.region == "us-east-1"
    assert set(market.types) == {"c6i.2xlarge", "m6i.2xlarge"}
    assert market.offerings == {"c6i.2xlarge": ("use1-az1", "use1-az2")}
    assert market.spot_prices == {("use1-az1", "c6i.2xlarge"): pytest.approx(0.12)}
    assert market.on_demand_prices == {"c6i.2xlarge": 0.34}
    assert market.quotas == {"standard": 640.0}
    assert market.placement_scores == {"use1-az1": 9}
    assert market.interruptions == {"c6i.large": 0.025, "m6i.large": 0.3}
    assert market.az_names == {"use1-az1": "us-east-1a", "use1-az2": "us-east-1b"}
    assert market.sources == (
        Source("AZ names", "EC2 DescribeAvailabilityZones", NOON.date()),
        Source("instance types", "EC2 DescribeInstanceTypes", NOON.date()),
        Source("offerings", "EC2 DescribeInstanceTypeOfferings", NOON.date()),
        Source("Spot prices", "EC2 DescribeSpotPriceHistory", NOON.date(), "mean over 7 days"),
        Source("Spot quotas", "Service Quotas ListServiceQuotas", NOON.date()),
        Source("placement scores", "EC2 GetSpotPlacementScores", NOON.date(), "of 1000 vCPU in one AZ, with 3 types"),
        Source("interruption bands", ask.feed, date(2026, 11, 21)),
        Source("on-demand prices", "Price List GetProducts", NOON.date(), "Linux, shared tenancy"),
    )


def test_what_was_not_asked_for_is_not_asked(ask: Asked, aws: ScriptedAws) -> None:
    market, notes = ask(advisor=None, on_demand=False)
    assert notes == ()
    assert (market.quotas, market.placement_scores, market.interruptions) == ({}, {}, {})
    assert {call.operation for call in aws.calls} == {
        "DescribeAvailabilityZones", "DescribeInstanceTypes", "DescribeInstanceTypeOfferings", SPOT_PRICE
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------------- the cache


def test_within_the_age_nothing_is_asked_again_and_the_dates_are_those_of_the_answers(
    ask: Asked, aws: ScriptedAws
) -> None:
    first, _ = ask(**EVERYTHING)
    aws.calls.clear()
    ask.now += timedelta(hours=HOURS)
    again, notes = ask(**EVERYTHING)
    assert (aws.calls, notes, ask.remarks) == ([], (), [])
    assert again == first


def test_after_it_everything_is_asked_again_but_the_feed_only_whether_it_has_changed(
    ask: Asked, aws: ScriptedAws
) -> None:
    first, _ = ask(**EVERYTHING)
    aws.calls.clear()
    aws.lay("/feed.json", Response(status=304))
    ask.now += timedelta(days=1)
    again, _ = ask(**EVERYTHING)
    assert len(aws.calls) == 9
    assert aws.called("/feed.json")[0].headers["If-None-Match"] == '"v1"'
    assert again.interruptions == first.interruptions
    assert [source.date for source in again.sources] == [
        *[date(2026, 11, 23)] * 6,
        date(2026, 11, 21),
        date(2026, 11, 23),
    ]


CHANGES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "the window": ({"window_days": 30}, {SPOT_PRICE}),
    "the types": ({"types": ("c6i.*",)}, {SPOT_PRICE}),
    "the capacity": ({"scores": ScoreRequest(THREE, 2000)}, {"GetSpotPlacementScores"}),
    "the types of the scores": ({"scores": ScoreRequest((*THREE, "r6i.large"), 1000)}, {"GetSpotPlacementScores"}),
}


@pytest.mark.parametrize(("change", "asked"), CHANGES.values(), ids=CHANGES.keys())
def test_another_question_is_asked(ask: Asked, aws: ScriptedAws, change: dict[str, Any], asked: set[str]) -> None:
    ask(**EVERYTHING)
    aws.calls.clear()
    ask(**{**EVERYTHING, **change})
    assert {call.operation for call in aws.calls} == asked


def test_another_account_is_told_nothing_of_the_first_one_s(
    ask: Asked, aws: ScriptedAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask()
    aws.calls.clear()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAI44QH8DHBEXAMPLE")
    ask()
    assert len(aws.calls) == 5  # the feed is public


def test_an_answer_on_disk_of_another_shape_is_asked_for_again_and_that_is_told(ask: Asked, aws: ScriptedAws) -> None:
    first, _ = ask(**EVERYTHING)
    for path in ask.directory.iterdir():
        text = path.read_text()
        path.write_text(text[: text.index('"answer":')] + '"answer":[[1],2,3,4]}')
    aws.calls.clear()
    again, notes = ask(**EVERYTHING)
    assert again == first
    assert len(notes) == 7
    assert len(aws.calls) == 9


def test_a_disk_that_cannot_be_written_costs_only_the_asking(ask: Asked) -> None:
    ask.directory.write_text("no directory")
    market, notes = ask()
    assert market.spot_prices
    assert notes == ()
    assert len(ask.remarks) == 6
    assert len(set(ask.remarks)) == 1


# ------------------------------------------------------------------------------------- what is necessary, or is not


NECESSARY = ["DescribeAvailabilityZones", "DescribeInstanceTypes", "DescribeInstanceTypeOfferings", SPOT_PRICE]


@pytest.mark.parametrize("operation", NECESSARY)
def test_without_a_necessary_fact_there_is_an_error_that_names_the_iam_action(
    ask: Asked, aws: ScriptedAws, operation: str
) -> None:
    aws.lay(operation, unauthorized(f"ec2:{operation}"))
    with pytest.raises(AwsDenied) as raised:
        ask()
    assert raised.value.hint == f"allow the IAM action ec2:{operation}"


def test_a_region_without_prices_is_an_error(ask: Asked, aws: ScriptedAws) -> None:
    aws.lay(SPOT_PRICE, history())
    with pytest.raises(AwsNotFound, match="no Spot prices"):
        ask()


def test_an_error_is_not_kept(ask: Asked, aws: ScriptedAws) -> None:
    good = aws.ready[SPOT_PRICE][0]
    aws.lay(SPOT_PRICE, history())
    with pytest.raises(AwsError):
        ask()
    aws.lay(SPOT_PRICE, good)
    assert ask()[0].spot_prices


def test_denied_quotas_are_a_note_that_names_the_iam_action(ask: Asked, aws: ScriptedAws) -> None:
    aws.lay("ListAWSDefaultServiceQuotas", quotas_denied())
    market, notes = ask(quotas=True)
    assert market.quotas == {}
    assert [note.startswith("no Spot quotas: ") for note in notes] == [True]
    assert "allow the IAM action servicequotas:ListAWSDefaultServiceQuotas" in notes[0]
    assert "Spot quotas" not in {source.fact for source in market.sources}


def test_denied_on_demand_prices_are_a_note_that_names_the_iam_action(ask: Asked, aws: ScriptedAws) -> None:
    aws.lay("GetProducts", price_list_denied())
    market, (note,) = ask()
    assert market.on_demand_prices == {}
    assert market.spot_prices
    assert "no on-demand prices: " in note
    assert "pricing:GetProducts" in note


def test_a_price_list_that_stays_throttled_takes_half_a_minute_at_most(
    ask: Asked, aws: ScriptedAws, clock: VirtualClock
) -> None:
    body = '{"__type": "ThrottlingException", "Message": "Rate exceeded"}'
    aws.lay("GetProducts", Response(body, 400, content_type="application/x-amz-json-1.1"))
    _, (note,) = ask()
    assert "pricing:GetProducts" in note
    assert sum(clock.sleeps) <= PRICE_LIST_PATIENCE


def test_scores_that_aws_gives_no_more_are_a_note(ask: Asked, aws: ScriptedAws) -> None:
    aws.lay("GetSpotPlacementScores", refusal("MaxConfigLimitExceeded", "You have exceeded the maximum.", 400))
    market, notes = ask(scores=ScoreRequest(THREE, 1000))
    assert market.placement_scores == {}
    assert ["24 hours" in note for note in notes] == [True]


def test_scores_that_would_mean_nothing_are_refused(ask: Asked) -> None:
    with pytest.raises(UsageError, match="always low"):
        ask(scores=ScoreRequest(THREE[:2], 1000))


def test_a_feed_that_cannot_be_had_is_a_note_and_does_not_take_the_time_of_the_rest(
    ask: Asked, aws: ScriptedAws, clock: VirtualClock
) -> None:
    aws.lay("/feed.json", throttled())
    began = clock.now()
    market, notes = ask()
    assert market.interruptions == {}
    assert [note.startswith("no interruption bands: ") for note in notes] == [True]
    assert clock.now() - began <= 15


def test_an_older_feed_is_used_where_no_newer_one_can_be_had_and_both_is_told(ask: Asked, aws: ScriptedAws) -> None:
    ask()
    ask.now += timedelta(days=3)
    aws.lay("/feed.json", Response(status=403))
    market, notes = ask()
    assert market.interruptions == {"c6i.large": 0.025, "m6i.large": 0.3}
    assert market.sources[-2].date == date(2026, 11, 21)
    assert [note.startswith("no newer interruption bands: ") for note in notes] == [True]


def test_a_type_that_is_not_understood_is_a_note(ask: Asked, aws: ScriptedAws) -> None:
    aws.lay("DescribeInstanceTypes", xml("DescribeInstanceTypes", types_page("c6i.2xlarge", "QUANTUM")))
    market, notes = ask()
    assert list(market.types) == ["c6i.2xlarge"]
    assert ["QUANTUM" in note for note in notes] == [True]


def test_throttling_that_passes_leaves_no_trace(ask: Asked, aws: ScriptedAws) -> None:
    aws.lay(SPOT_PRICE, throttled(), throttled(), *aws.ready[SPOT_PRICE])
    market, notes = ask()
    assert market.spot_prices
    assert notes == ()


def test_throttling_that_does_not_pass_ends_at_the_deadline(ask: Asked, aws: ScriptedAws, clock: VirtualClock) -> None:
    aws.lay(SPOT_PRICE, throttled())
    began = clock.now()
    with pytest.raises(AwsError, match="RequestLimitExceeded"):
        ask()
    assert clock.now() - began < 60


# --------------------------------------------------------------------------------------------------------- regions


def test_a_region_that_is_none_is_refused_with_the_nearest_before_anything_is_asked(
    ask: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    with pytest.raises(UsageError, match="us-esat-1") as raised:
        ask("us-esat-1")
    assert "us-east-1" in raised.value.hint


def test_a_region_that_botocore_does_not_know_is_asked_where_an_endpoint_is_set(ask: Asked) -> None:
    assert ask("mars-north-1")[0].region == "mars-north-1"


def test_every_region_of_the_ordinary_partition_is_known(make_session: Callable[..., Session]) -> None:
    known = make_session().known_regions("ec2")
    assert {"us-east-1", "ap-northeast-1", "cn-north-1", "us-gov-west-1"} <= known


def test_where_nobody_answers_it_says_so(ask: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(AwsUnreachable) as raised:
        ask()
    assert raised.value.hint
