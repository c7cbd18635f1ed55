"""The Price List's GetProducts, which moto lacks, over products that the caller lays out.

Source: AWS Price List API reference, GetProducts.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

PAGE: Final = 100


class PriceList:
    """Products as AWS tells them; empty to begin with."""

    def __init__(self) -> None:
        self.products: list[Mapping[str, Any]] = []

    def add(self, usd: str, unit: str, family: str, **attributes: str) -> None:
        """A product with an On-Demand price."""
        sku = f"SKU{len(self.products):013d}"
        dimension = {"unit": unit, "pricePerUnit": {"USD": usd}, "beginRange": "0", "endRange": "Inf"}
        self.products.append(
            {
                "product": {"productFamily": family, "attributes": attributes, "sku": sku},
                "serviceCode": "AmazonEC2",
                "terms": {
                    "OnDemand": {f"{sku}.JRTCKXETXF": {"priceDimensions": {f"{sku}.JRTCKXETXF.6YS6EN2CT7": dimension}}}
                },
            }
        )

    def answer(self, asked: Mapping[str, Any], page: int) -> str:
        """The document of one answer."""
        found = [product for product in self.products if _fits(product, asked.get("Filters", ()))]
        start, most = int(asked.get("NextToken", 0)), page or PAGE
        document: dict[str, Any] = {
            "FormatVersion": "aws_v1",
            "PriceList": [json.dumps(product) for product in found[start : start + most]],
        }
        if len(found) > start + most:
            document["NextToken"] = str(start + most)
        return json.dumps(document)


def _fits(product: Mapping[str, Any], filters: Sequence[Mapping[str, str]]) -> bool:
    told = {**product["product"]["attributes"], "productFamily": product["product"]["productFamily"]}
    return all(told.get(each["Field"]) == each["Value"] for each in filters if each["Type"] == "TERM_MATCH")
