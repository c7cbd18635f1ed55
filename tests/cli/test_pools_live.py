"""`spotwatch pools --live`: AWS as HTTP servers, moto for what it knows and scripted answers for the rest."""

import json
import re
import stat
from pathlib import Path
from urllib.request import Request as Question
from urllib.request import urlopen

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.aws import conftest as aws_fixtures
from tests.aws.answers import change, history, price_list, price_list_denied, product, quotas, quotas_denied, scores
from tests.aws.conftest import ScriptedAws, refusal, throttled, unauthorized, xml
from tests.cli.pools import REGION, Main, planned, pools_of, price_table

pytestmark = pytest.mark.slow

aws_environment = aws_fixtures.aws_environment
moto_url = aws_fixtures.moto_url

WANTED = ("--region", REGION, "--class", "c", "--vcpus", "1000", "--live")
PRICES, TYPES = "DescribeSpotPriceHistory", "DescribeInstanceTypes"


MOTO: dict[bytes, tuple[bytes, int, str]] = {}
"""What moto has answered already, by question; it takes seconds for all instance types."""


class Aws(ScriptedAws):
    """What is laid ready, and for all else moto."""

    moto_url: str = ""

    def handle(self, request: Request) -> Response:
        answer = super().handle(request)
        if answer.status_code != 400 or self.ready.get(self.calls[-1].operation):
            return answer
        body = request.get_data()
        if body not in MOTO:
            MOTO[body] = self.ask_moto(request)
        content, status, kind = MOTO[body]
        return Response(content, status, content_type=kind)

    def ask_moto(self, request: Request) -> tuple[bytes, int, str]:
        kept = ("Content-Type", "X-Amz-Target", "Authorization", "X-Amz-Date")
        headers = {name: value for name, value in request.headers.items() if name in kept}
        with urlopen(Question(self.moto_url, request.get_data(), headers)) as found:  # noqa: S310 (the loopback's)
            return found.read(), found.status, found.headers["Content-Type"]


@pytest.fixture
def aws(httpserver: HTTPServer, moto_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Aws:
    """The endpoint of every service; what is kept of the answers goes to a folder of the test's."""
    scripted = Aws(httpserver.url_for("/"))
    scripted.moto_url = moto_url
    monkeypatch.setenv("AWS_ENDPOINT_URL", scripted.url)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    httpserver.expect_request(re.compile(".*")).respond_with_handler(scripted.handle)
    scripted.lay(PRICES, history(*prices()))
    types = sorted({name for _, name, _ in pools_of(REGION, "c")})
    scripted.lay("GetProducts", price_list(*(product(name, "0.5") for name in types)))
    return scripted


def prices() -> list[str]:
    """A change of each pool of class c, by the AZ names that moto gives the AZ ids."""
    names = {
        f"use1-az{number}": f"us-east-1{letter}" for number, letter in zip((6, 1, 2, 4, 3, 5), "abcdef", strict=True)
    }
    return [
        change(names[az_id], name, "2026-11-01T00:00:00.000Z", str(usd))
        for az_id, name, usd in pools_of(REGION, "c")
        if az_id in names
    ]  # fmt: skip


@pytest.fixture
def advisor(tmp_path: Path) -> Path:
    """A feed in a file, so that the real one is not asked for."""
    advice = {"c5.large": {"s": 70, "r": 0}, "c6i.large": {"s": 60, "r": 2}}
    ranges = [{"index": index, "label": label} for index, label in enumerate(("<5%", "5-10%", "10-15%"))]
    path = tmp_path / "advisor.json"
    path.write_text(json.dumps({"ranges": ranges, "spot_advisor": {REGION: {"Linux": advice}}}))
    return path


def test_a_plan_of_what_aws_says_names_its_sources_and_the_account_s_azs(main: Main, aws: Aws, advisor: Path) -> None:
    document = planned(main, *WANTED, "--advisor", advisor)
    assert 1000 <= document["vcpus"] <= 1020
    assert document["usd_per_hour"] >= document["lower_bound_usd_per_hour"]
    origins = {source["fact"]: source["origin"] for source in document["sources"]}
    assert document["on_demand_usd_per_hour"] == 0.5 * document["instances"]
    assert origins["on-demand prices"] == "Price List GetProducts"
    assert origins["Spot prices"] == "EC2 DescribeSpotPriceHistory"
    assert origins["instance types"] == "EC2 DescribeInstanceTypes"
    assert origins["interruption bands"] == str(advisor)
    assert all(pool["az"].startswith("us-east-1") for pool in document["pools"])
    (asked,) = aws.called(PRICES)
    assert asked.parameters["Filter.1.Value.1"] == "c*"  # no more than the class needs


def test_what_aws_has_said_is_kept_for_a_while_and_readable_by_its_owner_only(
    main: Main, aws: Aws, advisor: Path, tmp_path: Path
) -> None:
    first = planned(main, *WANTED, "--advisor", advisor)
    aws.calls.clear()
    assert planned(main, *WANTED, "--advisor", advisor) == first
    assert aws.calls == []
    kept = list((tmp_path / "cache" / "spotwatch").iterdir())
    assert kept
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
    planned(main, *WANTED, "--advisor", advisor, "--max-age", "0s")
    assert aws.called(PRICES)


def test_quotas_are_kept_and_scores_are_shown(main: Main, aws: Aws, advisor: Path) -> None:
    standard = "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests"
    for operation in ("ListServiceQuotas", "ListAWSDefaultServiceQuotas"):
        aws.lay(operation, quotas({standard: 1004.0}))
    aws.lay("GetSpotPlacementScores", scores({"use1-az1": 9, "use1-az2": 3}))
    words = (*WANTED, "--advisor", str(advisor), "--quotas", "--scores")
    document = planned(main, *words)
    assert document["vcpus"] <= 1004
    assert {pool["placement_score"] for pool in document["pools"]} <= {9, 3, None}
    code, shown, _ = main("pools", *words)
    assert (code, "Spot placement scores (1 to 10): use1-az1 9, use1-az2 3" in shown) == (0, True)
    aws.lay("ListServiceQuotas", quotas({standard: 500.0}))
    code, out, err = main("pools", *words, "--max-age", "0s")
    assert (code, out, "the Spot quotas allow 500" in err) == (65, "", True)


def test_what_is_not_necessary_is_said_to_be_missing(main: Main, aws: Aws, advisor: Path) -> None:
    aws.lay("ListAWSDefaultServiceQuotas", quotas_denied())
    aws.lay("GetSpotPlacementScores", refusal("MaxConfigLimitExceeded", "Too many configurations.", 400))
    aws.lay("GetProducts", price_list_denied())
    document = planned(main, *WANTED, "--advisor", advisor, "--quotas", "--scores")
    notes = " ".join(document["notes"])
    assert document["on_demand_usd_per_hour"] is None
    assert "pricing:GetProducts" in notes
    assert "servicequotas:ListAWSDefaultServiceQuotas" in notes
    assert "MaxConfigLimitExceeded" in notes


def test_what_runs_is_asked_of_ec2_with_its_tags(main: Main, aws: Aws, tmp_path: Path) -> None:
    table = price_table(tmp_path / "prices.csv")
    reservation = "<item><instancesSet>{}</instancesSet></item>"
    instance = (
        "<item><instanceType>c5.large</instanceType><placement><availabilityZone>us-east-1a</availabilityZone>"
        "<availabilityZoneId>use1-az6</availabilityZoneId></placement></item>"
    )
    aws.lay(
        "DescribeInstances",
        xml("DescribeInstances", f"<reservationSet>{reservation.format(instance * 3)}</reservationSet>"),
    )
    words = ("--region", REGION, "--class", "c", "--vcpus", "1000", "--prices", table)
    document = planned(main, *words, "--existing", "aws", "--existing-tag", "team=web")
    assert document["change"]
    (asked,) = aws.called("DescribeInstances")
    assert {"tag:team", "web"} <= set(asked.parameters.values())
    kept = [pool for pool in document["pools"] if (pool["az_id"], pool["instance_type"]) == ("use1-az6", "c5.large")]
    assert kept[0]["count"] >= 3


# --------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("operation", [PRICES, TYPES, "DescribeInstanceTypeOfferings", "DescribeAvailabilityZones"])
def test_a_refused_call_names_the_iam_action(
    main: Main, aws: Aws, advisor: Path, operation: str, tmp_path: Path
) -> None:
    report = tmp_path / "report.html"
    report.write_text("of yesterday")
    aws.lay(operation, unauthorized(f"ec2:{operation}"))
    code, out, err = main("pools", *WANTED, "--advisor", str(advisor), "--html", str(report))
    assert (code, out, report.read_text()) == (77, "", "of yesterday")
    assert f"allow the IAM action ec2:{operation}" in err


def test_wrong_credentials_are_told_from_a_missing_permission(main: Main, aws: Aws, advisor: Path) -> None:
    aws.lay("DescribeAvailabilityZones", refusal("AuthFailure", "AWS was not able to validate the credentials", 401))
    code, out, err = main("pools", *WANTED, "--advisor", str(advisor))
    assert (code, out) == (77, "")
    assert "renew the credentials" in err


def test_no_credentials_say_so(main: Main, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    code, out, err = main("pools", *WANTED)
    assert (code, out, aws.calls) == (77, "", [])
    assert "AWS_PROFILE" in err


def test_one_throttled_call_is_made_again(main: Main, aws: Aws, advisor: Path) -> None:
    aws.lay(PRICES, throttled(), history(*prices()))
    assert planned(main, *WANTED, "--advisor", advisor)["vcpus"] >= 1000
    assert len(aws.called(PRICES)) == 2


def test_calls_that_stay_throttled_end_with_a_hint(main: Main, aws: Aws, advisor: Path) -> None:
    aws.lay("DescribeAvailabilityZones", throttled())
    code, out, err = main("pools", *WANTED, "--advisor", str(advisor), "--patience", "2s")
    assert (code, out) == (69, "")
    assert "AWS limits the rate of calls" in err


def test_an_empty_history_says_so(main: Main, aws: Aws, advisor: Path) -> None:
    aws.lay(PRICES, history())
    code, out, err = main("pools", *WANTED, "--advisor", str(advisor))
    assert (code, out) == (69, "")
    assert "AWS has no Spot prices of Linux/UNIX in us-east-1 for c*" in err
    assert "give a file of prices" in err


def test_prices_that_are_in_a_file_are_not_asked_for(main: Main, aws: Aws, advisor: Path, tmp_path: Path) -> None:
    aws.lay(PRICES, history())
    table = price_table(tmp_path / "prices.csv")
    document = planned(main, *WANTED, "--advisor", advisor, "--prices", table)
    assert (document["usd_per_hour"] > 0, aws.called(PRICES)) == (True, [])


def test_no_network_ends_with_a_hint(main: Main, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    code, out, err = main("pools", *WANTED, "--patience", "5s")
    assert (code, out) == (69, "")
    assert "see whether the endpoint can be reached" in err


def test_an_unknown_region_is_not_looked_up(main: Main, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    code, out, err = main("pools", "--live", "--region", "us-east-9", "--vcpus", "100")
    assert (code, out) == (64, "")
    assert 'there is no region "us-east-9"' in err


def test_a_place_where_nothing_can_be_kept_is_only_remarked(
    main: Main, aws: Aws, advisor: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "cache"))
    document = planned(main, *WANTED, "--advisor", advisor)
    assert document["vcpus"] >= 1000
    assert sum("answers are not kept in" in note for note in document["notes"]) == 1
    assert aws.called(PRICES)
