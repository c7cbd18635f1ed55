"""What a plan is written as: the configuration that creates it, in the words of the service that does.

Each format is a module with one `write(plan, settings)`, and its docstring says what the service can hold of a plan.
All of them validate what they write before they return it.
"""

from types import MappingProxyType
from typing import Final, Protocol

from spotwatch.core.errors import UsageError
from spotwatch.pools.formats import auto_scaling, cloudformation, ec2_fleet, karpenter, spot_fleet, terraform
from spotwatch.pools.formats.settings import LaunchTemplate, Settings, Written
from spotwatch.pools.plan import Plan

__all__ = ["FORMATS", "Format", "LaunchTemplate", "Settings", "Written", "write"]


class Format(Protocol):
    """What a module of this package can do."""

    def write(self, plan: Plan, settings: Settings) -> Written:
        """The configuration that creates the plan.

        Raises:
            UsageError: the service cannot hold the plan, or the settings do not fit it.
        """
        ...


FORMATS: Final = MappingProxyType[str, Format](
    {
        "ec2-fleet": ec2_fleet,
        "auto-scaling": auto_scaling,
        "spot-fleet": spot_fleet,
        "cloudformation": cloudformation,
        "terraform": terraform,
        "karpenter": karpenter,
    }
)
"""By the name that people type."""


def write(name: str, plan: Plan, settings: Settings | None = None) -> Written:
    """The configuration that creates a plan, in the format of this name.

    Raises:
        UsageError: there is no such format, it cannot hold the plan, or the settings do not fit the plan.
    """
    try:
        chosen = FORMATS[name]
    except KeyError:
        raise UsageError(f'there is no format "{name}"', hint=f"the formats are {', '.join(FORMATS)}") from None
    return chosen.write(plan, settings or Settings())
