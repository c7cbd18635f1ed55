"""Answers as EC2 and Service Quotas give them, built from the figures that matter to a test."""

import json
from collections.abc import Mapping
from typing import Any

from werkzeug import Response

from tests.aws.conftest import xml

ZONES = {"us-east-1a": "use1-az1", "us-east-1b": "use1-az2"}


def _following(token: str) -> str:
    return f"<nextToken>{token}</nextToken>" if token else ""


def zones(*, local: bool = False) -> Response:
    """Two Availability Zones; perhaps a Local Zone, and a zone that the account has not opted in to."""
    items = [_zone(name, az_id, "availability-zone", "opt-in-not-required") for name, az_id in ZONES.items()]
    if local:
        items.append(_zone("us-east-1-bos-1a", "use1-bos1-az1", "local-zone", "opted-in"))
        items.append(_zone("us-east-1z", "use1-az9", "availability-zone", "not-opted-in"))
    return xml("DescribeAvailabilityZones", f"<availabilityZoneInfo>{''.join(items)}</availabilityZoneInfo>")


def _zone(name: str, az_id: str, kind: str, opted: str) -> str:
    return (
        f"<item><optInStatus>{opted}</optInStatus><groupName>us-east-1-zg-1</groupName><regionName>us-east-1"
        f"</regionName><zoneId>{az_id}</zoneId><zoneName>{name}</zoneName><zoneState>available</zoneState>"
        f"<zoneType>{kind}</zoneType></item>"
    )


def change(zone: str, instance_type: str, time: str, price: str, product: str = "Linux/UNIX") -> str:
    """One change of a Spot price."""
    return (
        f"<item><instanceType>{instance_type}</instanceType><productDescription>{product}</productDescription>"
        f"<spotPrice>{price}</spotPrice><timestamp>{time}</timestamp><availabilityZone>{zone}</availabilityZone></item>"
    )


def history(*changes: str, token: str = "") -> Response:
    """A page of changes."""
    return xml(
        "DescribeSpotPriceHistory",
        f"<spotPriceHistorySet>{''.join(changes)}</spotPriceHistorySet>{_following(token)}",
    )


def scores(by_zone: Mapping[str, int], token: str = "") -> Response:
    """A page of placement scores."""
    items = "".join(
        f"<item><availabilityZoneId>{az_id}</availabilityZoneId><region>us-east-1</region><score>{score}</score></item>"
        for az_id, score in by_zone.items()
    )
    return xml("GetSpotPlacementScores", f"<spotPlacementScoreSet>{items}</spotPlacementScoreSet>{_following(token)}")


def instance(zone: str, instance_type: str, az_id: str = "") -> str:
    """A Spot Instance that runs."""
    by_id = f"<availabilityZoneId>{az_id}</availabilityZoneId>" if az_id else ""
    return (
        f"<item><instanceId>i-1234567890abcdef0</instanceId><instanceType>{instance_type}</instanceType>"
        f"<placement><availabilityZone>{zone}</availabilityZone>{by_id}</placement>"
        "<instanceLifecycle>spot</instanceLifecycle></item>"
    )


def reservations(*instances: str, token: str = "") -> Response:
    """A page of instances, each in a reservation of its own."""
    items = "".join(f"<item><instancesSet>{one}</instancesSet></item>" for one in instances)
    return xml("DescribeInstances", f"<reservationSet>{items}</reservationSet>{_following(token)}")


def quotas(by_name: Mapping[str, float], token: str = "") -> Response:
    """A page of EC2's quotas."""
    listed = [
        {
            "ServiceCode": "ec2",
            "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
            "QuotaArn": "arn:aws:servicequotas:us-east-1:123456789012:ec2/L-00000000",
            "QuotaCode": "L-00000000",
            "QuotaName": name,
            "Value": value,
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }
        for name, value in by_name.items()
    ]
    document = {"Quotas": listed, **({"NextToken": token} if token else {})}
    return Response(json.dumps(document), 200, content_type="application/x-amz-json-1.1")


def quotas_denied() -> Response:
    """As Service Quotas refuses a user without the permission."""
    document = {
        "__type": "AccessDeniedException",
        "Message": "User: arn:aws:iam::123456789012:user/planner is not authorized to perform: "
        "servicequotas:ListAWSDefaultServiceQuotas because no identity-based policy allows it",
    }
    return Response(json.dumps(document), 400, content_type="application/x-amz-json-1.1")


def product(
    instance_type: str, usd: str | None, *, region: str = "us-east-1", unit: str = "Hrs", **attributes: str
) -> dict[str, Any]:
    """An instance type as the Price List has it, with a reservation's terms; `usd` None: not to be had on demand."""
    sku, offer = f"SKU{instance_type.upper()}", "JRTCKXETXF"
    dimension = {
        "unit": unit,
        "endRange": "Inf",
        "description": f"${usd} per On Demand Linux {instance_type} Instance Hour",
        "appliesTo": [],
        "rateCode": f"{sku}.{offer}.6YS6EN2CT7",
        "beginRange": "0",
        "pricePerUnit": {"USD": usd},
    }
    term = {"sku": sku, "effectiveDate": "2026-11-01T00:00:00Z", "offerTermCode": offer, "termAttributes": {}}
    on_demand = {f"{sku}.{offer}": {"priceDimensions": {dimension["rateCode"]: dimension}, **term}}
    reserved = {
        "priceDimensions": {f"{sku}.NQ3QZPMQV9.6YS6EN2CT7": {"unit": "Hrs", "pricePerUnit": {"USD": "0.0100000000"}}},
        "termAttributes": {"LeaseContractLength": "3yr", "OfferingClass": "standard", "PurchaseOption": "No Upfront"},
    }
    return {
        "product": {
            "productFamily": "Compute Instance",
            "attributes": {
                "regionCode": region,
                "servicecode": "AmazonEC2",
                "instanceType": instance_type,
                "operatingSystem": "Linux",
                "preInstalledSw": "NA",
                "tenancy": "Shared",
                "capacitystatus": "Used",
                "marketoption": "OnDemand",
                "licenseModel": "No License required",
                "usagetype": f"BoxUsage:{instance_type}",
                "operation": "RunInstances",
                **attributes,
            },
            "sku": sku,
        },
        "serviceCode": "AmazonEC2",
        "terms": {**({} if usd is None else {"OnDemand": on_demand}), "Reserved": {f"{sku}.NQ3QZPMQV9": reserved}},
        "version": "20261101000000",
        "publicationDate": "2026-11-01T00:00:00Z",
    }


def price_list(*told: dict[str, Any], token: str = "") -> Response:
    """A page of products, each a text of JSON, as AWS has it."""
    page = {"FormatVersion": "aws_v1", "PriceList": [json.dumps(one) for one in told]}
    body = {**page, "NextToken": token} if token else page
    return Response(json.dumps(body), 200, content_type="application/x-amz-json-1.1")


def price_list_denied() -> Response:
    """As the Price List refuses a user without the permission."""
    text = (
        "User: arn:aws:iam::123456789012:user/planner is not authorized to perform: pricing:GetProducts because no "
        "identity-based policy allows the pricing:GetProducts action"
    )
    body = {"__type": "AccessDeniedException", "Message": text}
    return Response(json.dumps(body), 400, content_type="application/x-amz-json-1.1")
