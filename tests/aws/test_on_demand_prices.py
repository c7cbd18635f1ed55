"""What instance types cost on demand: the Price List, asked over HTTP with answers as AWS gives them."""

import json
from collections.abc import Callable

import pytest
from werkzeug import Response

from spotwatch.aws.on_demand_prices import on_demand_prices
from spotwatch.aws.price_list import home
from spotwatch.aws.session import Session
from spotwatch.core.errors import AwsBroken, AwsDenied, AwsNotFound
from tests.aws.answers import price_list, price_list_denied, product
from tests.aws.conftest import ScriptedAws, VirtualClock

Prices = Callable[..., dict[str, float]]


@pytest.fixture
def prices(session: Session) -> Prices:
    def ask(region: str = "us-east-1") -> dict[str, float]:
        return on_demand_prices(session.api("pricing", region=home(region)), region)

    return ask


def test_every_type_of_a_region_is_asked_for_at_once_page_after_page(aws: ScriptedAws, prices: Prices) -> None:
    aws.lay(
        "GetProducts",
        price_list(product("c6i.large", "0.0850000000"), token="next"),
        price_list(product("c6i.xlarge", "0.1700000000")),
    )
    assert prices() == {"c6i.large": 0.085, "c6i.xlarge": 0.17}
    first, second = aws.called("GetProducts")
    assert second.parameters == {**first.parameters, "NextToken": "next"}
    assert first.parameters["ServiceCode"] == "AmazonEC2"
    assert {each["Field"]: each["Value"] for each in first.parameters["Filters"]} == {
        "regionCode": "us-east-1",
        "operatingSystem": "Linux",
        "preInstalledSw": "NA",
        "tenancy": "Shared",
        "capacitystatus": "Used",
    }


@pytest.mark.parametrize(
    "other",
    [
        product("c6i.large", "0.1770000000", operatingSystem="Windows"),
        product("c6i.large", "0.0935000000", tenancy="Dedicated"),
        product("c6i.large", "0.5650000000", preInstalledSw="SQL Std"),
        product("c6i.large", "0.0000000000", capacitystatus="AllocatedCapacityReservation"),
        product("c6i.large", "0.0910000000", region="eu-west-1"),
        product("c6i.large", "31.4640000000", marketoption="CapacityBlock"),
        product("c6i.large", "0.0000000000"),
        product("c6i.large", "9.0000000000", unit="Quantity"),
        product("c6i.large", None),
    ],
    ids=lambda told: str(told["product"]["attributes"]["usagetype"]),
)
def test_what_is_no_plain_linux_instance_does_not_count(
    aws: ScriptedAws, prices: Prices, other: dict[str, object]
) -> None:
    aws.lay("GetProducts", price_list(other, product("c6i.large", "0.0850000000"), other))
    assert prices() == {"c6i.large": 0.085}


def test_a_type_with_two_prices_has_none(aws: ScriptedAws, prices: Prices) -> None:
    aws.lay(
        "GetProducts",
        price_list(product("c6i.large", "0.085"), product("c6i.large", "0.090"), product("c7i.large", "0.089")),
    )
    assert prices() == {"c7i.large": 0.089}


def test_a_region_without_prices_in_usd_says_so(aws: ScriptedAws, prices: Prices) -> None:
    aws.lay("GetProducts", price_list(product("c6i.large", None, region="cn-north-1")))
    with pytest.raises(AwsNotFound, match="cn-north-1"):
        prices("cn-north-1")


def test_a_refusal_names_the_iam_action(aws: ScriptedAws, prices: Prices) -> None:
    aws.lay("GetProducts", price_list_denied())
    with pytest.raises(AwsDenied) as refused:
        prices()
    assert "pricing:GetProducts" in f"{refused.value.message} {refused.value.hint}"


@pytest.mark.parametrize("text", ["no JSON", "[]", '{"product": 3}', '{"product": {}, "terms": {"OnDemand": [1]}}'])
def test_an_answer_that_makes_no_sense_is_told_from_a_missing_price(
    aws: ScriptedAws, prices: Prices, text: str
) -> None:
    body = json.dumps({"FormatVersion": "aws_v1", "PriceList": [text]})
    aws.lay("GetProducts", Response(body, 200, content_type="application/x-amz-json-1.1"))
    with pytest.raises(AwsBroken, match="pricing:GetProducts"):
        prices()


def test_throttling_that_passes_leaves_no_trace(aws: ScriptedAws, prices: Prices, clock: VirtualClock) -> None:
    body = '{"__type": "ThrottlingException", "Message": "Rate exceeded"}'
    throttled = Response(body, 400, content_type="application/x-amz-json-1.1")
    aws.lay("GetProducts", throttled, throttled, price_list(product("c6i.large", "0.0850000000")))
    assert prices() == {"c6i.large": 0.085}
    assert clock.sleeps


@pytest.mark.parametrize(
    ("region", "asked"),
    [
        ("us-east-1", "us-east-1"),
        ("ca-central-1", "us-east-1"),
        ("sa-east-1", "us-east-1"),
        ("eu-west-3", "eu-central-1"),
        ("il-central-1", "eu-central-1"),
        ("ap-northeast-1", "ap-south-1"),
    ],
)
def test_the_prices_of_a_region_are_asked_for_where_there_is_an_endpoint(
    session: Session, region: str, asked: str
) -> None:
    assert home(region) == asked
    assert asked in session.known_regions("pricing")
    assert session.api("pricing", region=asked).endpoint == f"https://api.pricing.{asked}.amazonaws.com"
