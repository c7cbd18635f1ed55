"""How many addresses an instance should hold, and what is left to do until it does. Pure.

A plan is made from what EC2 shows now, and whoever carries it out does the first step and looks again. So a run that
was interrupted anywhere is continued by the next one, with the same steps in the same order: interfaces that are
attached are filled first, then one of ours that hangs free is attached, and only then is one created.
"""

from dataclasses import dataclass
from math import ceil
from typing import Final

from spotwatch.core.errors import UsageError
from spotwatch.core.network_interface import Attachment, NetworkInterface, Subnet, TypeLimits

VCPUS_PER_ADDRESS: Final = 2
"""With it one interface is enough for every c, m and r type on Nitro of up to 96 vCPU."""

OWNER_TAG: Final = "spotwatch:addresses-of"
"""On every interface that we create: the id of the instance that it is for."""

TOKEN_TAG: Final = "spotwatch:token"  # noqa: S105 (a tag's name)
"""On every interface that we create: the client token that it was created with."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How many addresses there should be: a number, or, with 0, one for each `vcpus_per_address`."""

    count: int = 0
    vcpus_per_address: int = VCPUS_PER_ADDRESS

    def of(self, vcpus: int) -> int:
        """For so many vCPUs; at least one.

        Raises:
            UsageError: one of the numbers makes no sense.
        """
        if self.count < 0 or self.vcpus_per_address < 1:
            raise UsageError("the number of addresses and of vCPUs for each begins at 1")
        return self.count or ceil(vcpus / self.vcpus_per_address)


@dataclass(frozen=True, slots=True)
class Instance:
    """What EC2 shows of an instance and of the interfaces that were made for it.

    Attributes:
        vcpus: that it has; may be fewer than its type's.
        attached: all its interfaces, also those on their way.
        free: interfaces of ours for it that are attached to nothing, also those being created.
        subnet: of the primary interface.
    """

    id: str
    vcpus: int
    limits: TypeLimits
    attached: tuple[NetworkInterface, ...]
    free: tuple[NetworkInterface, ...]
    subnet: Subnet

    @property
    def primary(self) -> NetworkInterface:
        """The interface that the instance was born with.

        Raises:
            UsageError: it is not there: the instance is gone, or another region's.
        """
        for interface in self.attached:
            if interface.attachment is not None and interface.attachment.device_index == 0:
                return interface
        raise UsageError(f"{self.id} has no network interface", hint="see the instance's id and the region")

    @property
    def ours(self) -> tuple[NetworkInterface, ...]:
        """The interfaces that we have attached, by their device indexes."""
        mine = [each for each in self.attached if each.tags.get(OWNER_TAG) == self.id and each is not self.primary]
        return tuple(sorted(mine, key=_device_index))


@dataclass(frozen=True, slots=True)
class Await:
    """Wait until nothing is on its way with this interface."""

    interface: NetworkInterface

    def __str__(self) -> str:
        state = self.interface.attachment.state if self.interface.attachment else self.interface.status
        return f"wait for {self.interface.id}, which is {state}"


@dataclass(frozen=True, slots=True)
class KeepNot:
    """See to it that this interface is deleted together with the instance."""

    interface: NetworkInterface

    def __str__(self) -> str:
        return f"set delete-on-termination of {self.interface.id}"


@dataclass(frozen=True, slots=True)
class Assign:
    """Bring the number of this interface's addresses to `total`."""

    interface: NetworkInterface
    total: int

    def __str__(self) -> str:
        more = self.total - len(self.interface.addresses)
        return f"assign {more} more address{'' if more == 1 else 'es'} to {self.interface.id}"


@dataclass(frozen=True, slots=True)
class Attach:
    """Attach one of our free interfaces."""

    interface: NetworkInterface
    device_index: int

    def __str__(self) -> str:
        return f"attach {self.interface.id} as device {self.device_index}"


@dataclass(frozen=True, slots=True)
class Create:
    """Create an interface with so many addresses, its primary one among them, and attach it."""

    addresses: int
    device_index: int

    def __str__(self) -> str:
        count = f"{self.addresses} address{'' if self.addresses == 1 else 'es'}"
        return f"create an interface with {count} and attach it as device {self.device_index}"


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete one of our free interfaces, which is not needed."""

    interface: NetworkInterface

    def __str__(self) -> str:
        return f"delete {self.interface.id}, which hangs free and is not needed"


Step = Await | KeepNot | Assign | Attach | Create | Delete


@dataclass(frozen=True, slots=True)
class Plan:
    """What is left to do.

    Attributes:
        wanted: addresses that there should be.
        held: those that there are, on the primary interface and on ours.
        steps: in their order; empty: nothing.
        notes: why there will be fewer than are wanted.
    """

    instance_id: str
    limits: TypeLimits
    vcpus: int
    wanted: int
    held: int
    steps: tuple[Step, ...]
    notes: tuple[str, ...]


def plan(instance: Instance, wish: Wish) -> Plan:
    """What has to be done until an instance holds the addresses that are wished for.

    Raises:
        UsageError: the wish makes no sense, or the instance is not there.
    """
    draft = _Draft(instance, wish.of(instance.vcpus))
    draft.write()
    return Plan(
        instance.id, instance.limits, instance.vcpus, draft.wanted, draft.held, tuple(draft.steps), tuple(draft.notes)
    )


class _Draft:
    """A plan on its way: how many addresses are still missing, and what is free to be used."""

    def __init__(self, instance: Instance, wanted: int) -> None:
        self._instance = instance
        self._used = [instance.primary, *instance.ours]
        self._per_eni = instance.limits.ipv4_per_eni
        self._budget = instance.subnet.available
        self._indexes = {_device_index(each) for each in instance.attached}
        self.wanted = wanted
        self.held = sum(len(each.addresses) for each in self._used)
        self.steps: list[Step] = []
        self.notes: list[str] = []
        self._missing = max(0, wanted - self.held)

    def write(self) -> None:
        self.steps += [Await(each) for each in (*self._used, *self._instance.free) if not each.settled]
        self.steps += [KeepNot(each) for each in self._instance.ours if not _deleted_with_instance(each)]
        for interface in self._used:
            self._fill(interface)
        for interface in self._instance.free:
            self._use(interface)
        while self._missing and self._budget and self._room():
            self._create()
        if self._missing:
            self.notes.append(self._why_not())

    def _fill(self, interface: NetworkInterface) -> None:
        count = min(self._missing, self._budget, max(0, self._per_eni - len(interface.addresses) - interface.prefixes))
        if count:
            self.steps.append(Assign(interface, len(interface.addresses) + count))
            self._take(count, new=count)

    def _use(self, interface: NetworkInterface) -> None:
        """One that hangs free; what it lacks is assigned when it is attached, as for any other."""
        right_place = interface.subnet_id == self._instance.primary.subnet_id
        if not self._missing or not self._room() or not right_place:
            self.steps.append(Delete(interface))
            return
        self.steps.append(Attach(interface, self._free_index()))
        self._take(min(len(interface.addresses), self._missing), new=0)
        self._fill(interface)

    def _create(self) -> None:
        count = min(self._missing, self._budget, self._per_eni)
        self.steps.append(Create(count, self._free_index()))
        self._take(count, new=count)

    def _take(self, count: int, *, new: int) -> None:
        self._missing -= count
        self._budget -= new

    def _room(self) -> bool:
        return len(self._indexes) < self._instance.limits.enis

    def _free_index(self) -> int:
        index = next(number for number in range(1, len(self._indexes) + 2) if number not in self._indexes)
        self._indexes.add(index)
        return index

    def _why_not(self) -> str:
        limits, count = self._instance.limits, self._missing
        missing = f"{count} of {self.wanted} addresses cannot be had"
        if not self._budget:
            return f"{missing}: {self._instance.subnet.id} has no more free addresses"
        others = len(self._instance.attached) - len(self._used)
        beside = f", {others} of which are used otherwise" if others else ""
        return (
            f"{missing}: {limits.instance_type} has {limits.enis} interfaces{beside}, "
            f"with {limits.ipv4_per_eni} addresses each"
        )


def _device_index(interface: NetworkInterface) -> int:
    return interface.attachment.device_index if interface.attachment else -1


def _deleted_with_instance(interface: NetworkInterface) -> bool:
    attachment = interface.attachment
    return attachment is None or attachment.state != "attached" or attachment.delete_on_termination


def of_type(limits: TypeLimits, wish: Wish) -> Plan:
    """The plan for an instance that was started just now, without any instance: as many as its type can hold.

    Raises:
        UsageError: the wish makes no sense.
    """
    primary = NetworkInterface(
        "its primary interface",
        "",
        "its subnet",
        (),
        "in-use",
        ("",),
        attachment=Attachment("", "", 0, "attached", True),
    )
    subnet = Subnet("its subnet", "", limits.addresses)
    return plan(Instance("", limits.vcpus, limits, (primary,), (), subnet), wish)
