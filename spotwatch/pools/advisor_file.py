"""What `--advisor` names: the Spot Instance Advisor's feed, as AWS publishes it (`spot-advisor-data.json`).

ranges         [{"index": 0, "label": "<5%", "max": 5}, …]
spot_advisor   {region: {"Linux": {type: {"s": 70, "r": 0}}}}: the saving in % against on demand, and the range
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from spotwatch.core.advisor import MIDDLES
from spotwatch.core.capacity import Source
from spotwatch.core.errors import InputError
from spotwatch.pools.documents import BY_MODIFICATION, Document, Item, at, count, no_region, object_of, objects, word

INTERRUPTIONS: Final = "interruption bands"

DEAREST: Final = 1000
"""Per cent that a Spot Instance may cost more than one on demand before the feed is taken to be broken."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What the feed says of Linux in one region.

    Attributes:
        interruptions: the probability of an interruption within a month, 0 to 1, by type: the middle of its band.
        savings: how much less than on demand a Spot Instance cost on average, by type: 1 is all. The feed has
            negative ones, where Spot Instances were dearer.
        source: of both.
    """

    interruptions: Mapping[str, float]
    savings: Mapping[str, float]
    source: Source


def advice(document: Document, region: str) -> Advice:
    """Read the feed.

    Raises:
        InputError: it is no such feed, or says nothing of the region.
    """
    content = object_of(document)
    middles = _middles(document, content)
    interruptions, savings = {}, {}
    for name, item in _linux(document, content, region).items():
        with at(f"{document.path}: spot_advisor.{region}.Linux.{name}"):
            interruptions[name], savings[name] = _read(item, middles)
    if not interruptions:
        raise InputError(f"{document.path}: spot_advisor.{region}.Linux is empty", hint="fetch the feed anew")
    return Advice(interruptions, savings, Source(INTERRUPTIONS, document.path, document.modified, BY_MODIFICATION))


def _read(item: object, middles: Mapping[int, float]) -> tuple[float, float]:
    if not isinstance(item, dict):
        raise ValueError("no object")  # noqa: TRY004 (one kind of error for whatever is wrong)
    band, saving = count(item, "r"), item.get("s")
    if band not in middles:
        raise ValueError(f"r is {band}, none of the ranges")
    if not isinstance(saving, int) or isinstance(saving, bool) or not -DEAREST <= saving <= 100:
        raise ValueError("s is no percentage")
    return middles[band], saving / 100


def _middles(document: Document, content: Item) -> dict[int, float]:
    middles = {}
    for place, item in objects(document, content, "ranges"):
        with at(place):
            label = word(item, "label")
            if label not in MIDDLES:
                raise ValueError(f'label is "{label}", none of {", ".join(MIDDLES)}')
            middles[count(item, "index")] = MIDDLES[label]
    return middles


def _linux(document: Document, content: Item, region: str) -> Item:
    regions = _of(document, content.get("spot_advisor"), "spot_advisor")
    if region not in regions:
        raise no_region(document, region, set(regions))
    systems = _of(document, regions[region], f"spot_advisor.{region}")
    return _of(document, systems.get("Linux"), f"spot_advisor.{region}.Linux")


def _of(document: Document, value: object, place: str) -> Item:
    if not isinstance(value, dict):
        raise InputError(
            f"{document.path}: {place} is {'missing' if value is None else 'no object'}",
            hint="name the Spot Instance Advisor's feed as AWS publishes it, spot-advisor-data.json",
        )
    return value
