"""A neutral model of what creates instances: EC2 Fleets, Spot Fleets, Auto Scaling groups, Karpenter NodePools.

It holds what the limits and the losses depend on, and no more. What a file does not say is None or empty, never a
default: the defaults of AWS are applied where they matter (`spotwatch.pools.check.losses`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

LAUNCH_TEMPLATE_OF_FLEET = "(the launch template)"
"""The name of a launch template whose id and name are not known here; two of them may be the same."""


class Kind(StrEnum):
    """What is created."""

    EC2_FLEET = "EC2 Fleet"
    SPOT_FLEET = "Spot Fleet"
    AUTO_SCALING_GROUP = "Auto Scaling group"
    NODE_POOL = "NodePool"


@dataclass(frozen=True, slots=True)
class Requirements:
    """Attributes that stand in the place of an instance type.

    Attributes:
        allowed, excluded: patterns of instance types.
        generations: `current`, `previous`.
    """

    allowed: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    generations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Override:
    """One entry of a list of instance types; for a fleet, one Spot capacity pool.

    Attributes:
        path: where it stands in the file.
        instance_type: empty if the file does not say.
        az_id: `use1-az4`.
        az_name: `us-east-1a`.
        subnets: ids.
        weight: as written; None if not.
        priority: None if not written.
        launch_template: its id or name, with which instances of this type start.
        requirements: in place of the type.
    """

    path: str
    instance_type: str = ""
    az_id: str = ""
    az_name: str = ""
    subnets: tuple[str, ...] = ()
    weight: float | None = None
    priority: float | None = None
    launch_template: str = LAUNCH_TEMPLATE_OF_FLEET
    requirements: Requirements | None = None


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet, a group or a NodePool.

    Attributes:
        kind: which of these.
        name: its name, or its place in the file.
        path: where it stands in the file.
        overrides: its instance types or pools; of a NodePool, each type in each AZ.
        strategy: the Spot allocation strategy, with dashes (`lowest-price`); empty if not written.
        pools_to_use: `InstancePoolsToUseCount`, `SpotInstancePools`.
        fleet_type: `maintain`, `request`, `instant`; empty if not written.
        target: units in all; None if the file does not say. Of a NodePool: its limit of vCPU.
        spot: of these, the units of Spot; None if the file does not say.
        template_configs: the launch template configurations of a fleet.
        launch_templates: the names or ids of all launch templates.
        azs: where an Auto Scaling group or a NodePool may launch: AZ ids, AZ names or subnets.
        instant_only: the key paths of what only a fleet of the type `instant` may have.
    """

    kind: Kind
    name: str
    path: str
    overrides: tuple[Override, ...] = ()
    strategy: str = ""
    pools_to_use: int | None = None
    fleet_type: str = ""
    target: float | None = None
    spot: float | None = None
    template_configs: int = 0
    launch_templates: tuple[str, ...] = ()
    azs: tuple[str, ...] = ()
    instant_only: tuple[str, ...] = ()

    @property
    def is_fleet(self) -> bool:
        """Whether it is an EC2 Fleet or a Spot Fleet."""
        return self.kind in (Kind.EC2_FLEET, Kind.SPOT_FLEET)


@dataclass(frozen=True, slots=True)
class Configuration:
    """All that one file creates, in one region.

    Attributes:
        form: what the file is, such as `CloudFormation template`.
        fleets: in the file's order.
        subnet_azs: the AZ of each subnet, as far as it is known.
        unresolved: what the file leaves open (a parameter without default, an import), by key path.
    """

    form: str
    fleets: tuple[Fleet, ...]
    subnet_azs: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    unresolved: tuple[str, ...] = ()


def azs_of(override: Override, configuration: Configuration) -> tuple[str, ...]:
    """Where an override may launch: the id of its AZ, or its name, or the AZ of each subnet, as far as it is known.

    A subnet whose AZ is not known stands for itself; nothing at all is `("",)`.
    """
    if override.az_id or override.az_name:
        return (override.az_id or override.az_name,)
    known = {configuration.subnet_azs.get(subnet, subnet) for subnet in override.subnets}
    return tuple(sorted(known)) or ("",)
