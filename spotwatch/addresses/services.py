"""What applying a plan needs of EC2 and of this machine, as it sees it; the command line hands in the real ones."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from spotwatch.core.network_interface import NetworkInterface, Subnet, TypeLimits
from spotwatch.core.routing import Change, Link, Network


class Clock(Protocol):
    """Who knows the time and can let it pass."""

    def now(self) -> float:
        """Seconds on a clock that never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        ...


class OwnFacts(Protocol):
    """What an instance knows of itself."""

    @property
    def instance_id(self) -> str:
        """Such as `i-0123456789abcdef0`."""
        ...

    @property
    def instance_type(self) -> str:
        """Such as `m5.large`."""
        ...

    @property
    def mac(self) -> str:
        """Of the primary interface; empty if it is not known."""
        ...

    @property
    def subnet_id(self) -> str:
        """Of the primary interface; empty if it is not known."""
        ...

    @property
    def vcpus(self) -> int | None:
        """That it has; None: as many as its type."""
        ...


class NetworkInterfaces(Protocol):
    """EC2's network interfaces, patient until the time that it was made with; every method raises `AwsError` then.

    Every method may be called again after it was interrupted anywhere, and returns when the effect shows.
    """

    def limits(self, instance_type: str) -> TypeLimits:
        """What a type can hold."""
        ...

    def subnet(self, subnet_id: str) -> Subnet:
        """A subnet as it is now."""
        ...

    def attached_to(self, instance_id: str) -> Sequence[NetworkInterface]:
        """All interfaces of an instance, also those that are attached or detached just now."""
        ...

    def tagged(self, tag: str, value: str) -> Sequence[NetworkInterface]:
        """All interfaces with a tag, attached or not."""
        ...

    def forsaken(self, tag: str, subnet_id: str) -> Sequence[NetworkInterface]:
        """Those of a subnet that hang free and whose tag names an instance that is gone for good."""
        ...

    def assign(self, interface_id: str, total: int) -> Sequence[str]:
        """Bring the number of its addresses to `total`; all of them, the primary one first."""
        ...

    def unassign(self, interface_id: str, addresses: Sequence[str]) -> None:
        """Take addresses away from it; no error if it does not have them."""
        ...

    def create(self, subnet_id: str, groups: Sequence[str], addresses: int, token: str, tags: Mapping[str, str]) -> str:
        """Create one, and return its id when it is available; once for a token and the same parameters."""
        ...

    def attach(self, interface_id: str, instance_id: str, device_index: int) -> None:
        """Attach it; no error if it is attached there already."""
        ...

    def delete_with_instance(self, interface_id: str) -> None:
        """Have EC2 delete it when its instance is terminated."""
        ...

    def detach(self, interface_id: str) -> None:
        """Detach it; no error if it is attached to nothing."""
        ...

    def delete(self, interface_id: str) -> None:
        """Delete it; no error if it is gone."""
        ...

    def wait_until_settled(self, interface_id: str) -> None:
        """Return when it is available, attached for good, or gone."""
        ...


class Kernel(Protocol):
    """The kernel's links, addresses, routes and rules."""

    def look(self) -> Network:
        """What it knows now.

        Raises:
            NetworkRefused: it cannot be asked.
        """
        ...

    def change(self, change: Change) -> None:
        """Carry out a change; no error if it is so already.

        Raises:
            NetworkRefused: it may not be changed, or this change makes no sense.
        """
        ...


class Managers(Protocol):
    """Who else configures network interfaces on this machine."""

    def of(self, link: Link, addresses: Sequence[str]) -> str:
        """The program that configures these addresses on a link, such as `netplan`; empty if none does."""
        ...


class Memory(Protocol):
    """A text that outlasts a crash and a restart."""

    def read(self) -> str:
        """What was written last; empty if nothing was.

        Raises:
            StateUnavailable: it cannot be read.
        """
        ...

    def write(self, text: str) -> None:
        """Replace it; durable when this returns.

        Raises:
            StateUnavailable: it cannot be written.
        """
        ...
