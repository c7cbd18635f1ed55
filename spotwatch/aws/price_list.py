"""The AWS Price List: its products of EC2 with what they cost on demand.

Sources: AWS Price List API (GetProducts), AWS Billing user guide ("Finding services and products using the AWS Price
List Query API": which regions have an endpoint).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from spotwatch.aws.session import Api
from spotwatch.core.errors import AwsBroken

_HOMES: Final = (
    ("eu-central-1", ("eu-", "af-", "il-", "me-")),
    ("ap-south-1", ("ap-",)),
)
"""Few regions have the Price List's endpoint, and each of them knows the prices of all: the nearest, by prefix."""

_ELSEWHERE: Final = "us-east-1"

_PAGE: Final = 100
"""Products of an answer at most, the most that AWS allows; a page of instances with their terms is about a megabyte."""


@dataclass(frozen=True, slots=True)
class Product:
    """A product, and its prices on demand.

    Attributes:
        family: such as `Compute Instance`.
        attributes: such as `instanceType` and `usagetype`.
        prices: USD, each with its unit (`Hrs`, `GB-Mo`).
    """

    family: str
    attributes: Mapping[str, Any]
    prices: tuple[tuple[str, Decimal], ...]


def home(region: str) -> str:
    """Where the prices of a region are asked for."""
    return next((name for name, prefixes in _HOMES if region.startswith(prefixes)), _ELSEWHERE)


def products(pricing: Api, **attributes: str) -> Iterator[Product]:
    """The products of EC2 that have all these attributes.

    Raises:
        AwsBroken: an answer makes no sense.
        AwsError: as its subclasses say.
    """
    filters = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in attributes.items()]
    pages = pricing.pages(
        "GetProducts", ServiceCode="AmazonEC2", FormatVersion="aws_v1", MaxResults=_PAGE, Filters=filters
    )
    for page in pages:
        for text in page.get("PriceList", ()):
            try:
                yield _product(json.loads(text))
            except (ValueError, AttributeError, TypeError):
                raise AwsBroken(
                    f"pricing:GetProducts: the answer makes no sense: {str(text)[:100]!r}",
                    hint="see what answers at the endpoint",
                ) from None


def _product(told: Mapping[str, Any]) -> Product:
    product = told.get("product", {})
    prices = tuple(
        (str(dimension.get("unit")), usd)
        for term in told.get("terms", {}).get("OnDemand", {}).values()
        for dimension in term.get("priceDimensions", {}).values()
        if (usd := _decimal(dimension.get("pricePerUnit", {}).get("USD"))) is not None
    )
    return Product(str(product.get("productFamily", "")), dict(product.get("attributes", {})), prices)


def _decimal(text: object) -> Decimal | None:
    try:
        amount = Decimal(str(text)) if text is not None else None
    except InvalidOperation:
        return None
    return amount if amount is not None and amount.is_finite() else None
