"""What instance types cost on demand in a region, from the AWS Price List."""

from typing import Final

from spotwatch.aws.price_list import products
from spotwatch.aws.session import Api
from spotwatch.core.errors import AwsNotFound

_WANTED: Final = {
    "operatingSystem": "Linux",
    "preInstalledSw": "NA",
    "tenancy": "Shared",
    "capacitystatus": "Used",
}
"""A plain Linux instance that runs: neither with software that costs extra, nor a reservation that stands idle."""

_UNIT: Final = "Hrs"


def on_demand_prices(pricing: Api, region: str) -> dict[str, float]:
    """USD an hour of each instance type (GetProducts: Linux, shared tenancy, no software, running).

    A type of which AWS tells several prices is left out: which of them it costs is not known.

    Args:
        pricing: the Price List's API, of `price_list.home(region)`.
        region: whose prices.

    Raises:
        AwsNotFound: AWS tells no price of the region in USD.
        AwsError: as its subclasses say.
    """
    told: dict[str, set[float]] = {}
    for product in products(pricing, regionCode=region, **_WANTED):
        attributes = product.attributes
        # AWS has filtered already; a stand-in for it may not have.
        if any(attributes.get(name) != value for name, value in {"regionCode": region, **_WANTED}.items()):
            continue
        if attributes.get("marketoption", "OnDemand") == "OnDemand":  # not of a Capacity Block
            prices = {float(usd) for unit, usd in product.prices if unit == _UNIT and usd > 0}
            told.setdefault(str(attributes.get("instanceType", "")), set()).update(prices)
    found = {name: prices.pop() for name, prices in told.items() if name and len(prices) == 1}
    if not found:
        raise AwsNotFound(
            f"the AWS Price List tells no on-demand price in USD of {region}",
            hint="name a --catalog with on-demand prices, if you want to see what Spot saves",
        )
    return found
