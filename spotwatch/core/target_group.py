"""Target groups of a load balancer, their targets, and which of these are an instance's."""

from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_address, ip_network


@dataclass(frozen=True, slots=True)
class TargetGroup:
    """A target group.

    Attributes:
        arn: its ARN.
        target_type: `instance`, `ip`, `lambda` or `alb`; empty if it was not asked for.
        vpc_id: empty for `lambda`, and if it was not asked for.
    """

    arn: str
    target_type: str = ""
    vpc_id: str = ""

    @property
    def was_named(self) -> bool:
        """Whether a person named it, and nothing more than its ARN is known."""
        return not self.target_type

    @property
    def name(self) -> str:
        """The one that people gave it; the second last part of the ARN."""
        parts = self.arn.split("/")
        return parts[-2] if len(parts) > 2 else self.arn


@dataclass(frozen=True, slots=True)
class Target:
    """A registration in a target group; one instance or address can have several, with different ports.

    Attributes:
        id: an instance id or an IP address.
        port: where it takes requests.
        availability_zone: `all` for an address outside the group's VPC; empty for an instance.
        state: `initial`, `healthy`, `unhealthy`, `draining`, `unused`, …
    """

    id: str
    port: int | None
    availability_zone: str
    state: str

    @property
    def is_draining(self) -> bool:
        """Whether it is deregistered already, and only ends the requests that it has."""
        return self.state == "draining"

    @property
    def is_used(self) -> bool:
        """Whether it gets requests, or may still have some."""
        return self.state != "unused"


@dataclass(frozen=True, slots=True)
class InstanceAddresses:
    """What targets of an instance can be registered as.

    Attributes:
        instance_id: the instance.
        vpc_ids: the VPCs that its network interfaces are in; the same address in another VPC is another machine's.
        addresses: all private addresses of its interfaces, secondary ones and IPv6 too.
        prefixes: the address ranges that are delegated to its interfaces (containers have addresses from them).
    """

    instance_id: str
    vpc_ids: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()
    prefixes: Collection[str] = ()

    def may_be_in(self, group: TargetGroup) -> bool:
        """Whether it is worth looking into the group: one that was named by hand always is."""
        in_our_vpc = group.target_type == "ip" and group.vpc_id in self.vpc_ids
        return group.was_named or group.target_type == "instance" or in_our_vpc

    def has(self, target: str) -> bool:
        """Whether a target's id stands for this instance."""
        if target == self.instance_id:
            return True
        try:
            address = ip_address(target)
        except ValueError:
            return False
        return address in map(ip_address, self.addresses) or any(
            address in ip_network(prefix) for prefix in self.prefixes
        )
