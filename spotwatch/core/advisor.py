"""What the bands of the Spot Instance Advisor stand for."""

from types import MappingProxyType
from typing import Final

MIDDLES: Final = MappingProxyType({"<5%": 0.025, "5-10%": 0.075, "10-15%": 0.125, "15-20%": 0.175, ">20%": 0.3})
"""The probability that an instance is interrupted within a month, by the feed's label of a band: the band's middle. The
last band has no upper end, and 30 % is our choice. A band is no rate, and no plan is more exact than that."""
