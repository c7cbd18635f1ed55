"""EC2's Spot placement scores: how likely a Spot request of this very form is to be fulfilled."""

from collections.abc import Sequence
from typing import Any, Final

from spotwatch.aws.session import Api
from spotwatch.core.errors import AwsRefused, UsageError

FEWEST_TYPES: Final = 3
"""With fewer, every score is low whatever the capacity is (Amazon EC2 User Guide, "Spot placement score")."""

MOST_TYPES: Final = 1000
MOST_REGIONS: Final = 10
_SCORES_A_PAGE: Final = 1000


def placement_scores(
    ec2: Api, *, instance_types: Sequence[str], capacity: int, regions: Sequence[str], unit: str = "vcpu"
) -> dict[str, int]:
    """A score of 1 to 10 by AZ id, for all of the capacity in that one AZ (GetSpotPlacementScores).

    The scores hold for these types and this capacity together, now; AWS returns the best zones only. It limits how
    many different configurations an account may ask about in 24 hours.

    Args:
        ec2: an API of any region.
        instance_types: 3 to 1,000 names.
        capacity: in `unit`.
        regions: 1 to 10.
        unit: `vcpu`, `memory-mib` or `units` (instances).

    Raises:
        UsageError: the numbers of types or regions are such that AWS would refuse or the scores would mean nothing.
        AwsError: as its subclasses say.
    """
    _check(len(set(instance_types)), len(set(regions)))
    parameters: dict[str, Any] = {
        "InstanceTypes": sorted(set(instance_types)),
        "TargetCapacity": capacity,
        "TargetCapacityUnitType": unit,
        "SingleAvailabilityZone": True,
        "RegionNames": sorted(set(regions)),
        "MaxResults": _SCORES_A_PAGE,
    }
    try:
        return {
            score["AvailabilityZoneId"]: score["Score"]
            for page in ec2.pages("GetSpotPlacementScores", **parameters)
            for score in page.get("SpotPlacementScores", ())
            if score.get("AvailabilityZoneId") and score.get("Score")
        }
    except AwsRefused as error:
        if error.code != "MaxConfigLimitExceeded":
            raise
        hint = "ask about a configuration of the last 24 hours, wait until they are over, or plan without the scores"
        raise AwsRefused(error.message, code=error.code, hint=hint) from error


def _check(types: int, regions: int) -> None:
    if types < FEWEST_TYPES:
        raise UsageError(
            f"placement scores of {types} instance type{'s' if types != 1 else ''} would mean nothing: with fewer than "
            f"{FEWEST_TYPES} they are always low",
            hint="allow more instance types, or plan without the scores",
        )
    if types > MOST_TYPES:
        raise UsageError(f"placement scores can be had for at most {MOST_TYPES} types", hint="allow fewer types")
    if not 1 <= regions <= MOST_REGIONS:
        raise UsageError(f"placement scores can be had for 1 to {MOST_REGIONS} regions", hint="ask for some of them")
