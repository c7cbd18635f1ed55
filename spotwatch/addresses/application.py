"""Carrying out a plan, and taking back what came of it.

What this survives:

- A crash at any point: each run looks at EC2 and at the kernel first, and does what is left to do. The only things that
  they cannot tell are in the ledger, which is written before and after (`ledger`).
- An answer that got lost: nothing is done twice, neither a creation (client token) nor an assignment (counted again).
- An interface that could not be attached: it is deleted, or reused by the next run. None is left behind; those that
  instances have left behind which are gone for good are deleted, too.
- A subnet without free addresses, a limit: the instance gets what there is, and what is missing is said.
"""

import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from spotwatch.addresses.ledger import Creation, Ledgers
from spotwatch.addresses.look import look
from spotwatch.addresses.plan import (
    OWNER_TAG,
    TOKEN_TAG,
    Assign,
    Attach,
    Await,
    Create,
    Delete,
    Instance,
    KeepNot,
    Plan,
    Step,
    Wish,
    plan,
)
from spotwatch.addresses.routes import Wanted, changes, missing_links, obsolete, removal, wanted
from spotwatch.addresses.services import Clock, Kernel, Managers, NetworkInterfaces, OwnFacts
from spotwatch.core.errors import AwsDenied, AwsError, AwsNotFound, AwsRefused, AwsUnsettled, NotInTime
from spotwatch.core.routing import Change, Network, described

LOOK_SECONDS: Final = 0.5
"""Between two looks at the kernel, while a link that EC2 has attached, or another program's work, is waited for."""

SETTLE_SECONDS: Final = 15.0
"""After a crash in the middle of a call: how long EC2 may take to show what came of it. Its descriptions lag behind,
usually by a second or two (EC2 API reference, "Eventual consistency")."""

SHORTFALLS: Final = frozenset(
    {"AttachmentLimitExceeded", "InsufficientFreeAddressesInSubnet", "NetworkInterfaceLimitExceeded",
     "PrivateIpAddressLimitExceeded"}
)  # fmt: skip
"""Refusals after which the instance does with what it has ("Error codes for the Amazon EC2 API")."""


class Configure(StrEnum):
    """Whether the kernel is told of the addresses by us."""

    AUTO = "auto"
    """Unless another program does it."""
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it.

    Attributes:
        plan: what was left to do at the end; its steps are empty unless something could not be had.
        done: what was done, one line each.
        notes: what the reader has to know.
        complete: whether everything that was wished for is there.
    """

    plan: Plan
    done: tuple[str, ...]
    notes: tuple[str, ...]
    complete: bool


class Application:
    """Applies and releases, for one instance; only one at a time (see `cli.addresses`).

    Args:
        until: when it has to be done, in seconds on `clock`.
    """

    def __init__(
        self,
        facts: OwnFacts,
        ec2: NetworkInterfaces,
        kernel: Kernel,
        managers: Managers,
        ledgers: Ledgers,
        clock: Clock,
        until: float,
    ) -> None:
        self._facts = facts
        self._ec2 = ec2
        self._kernel = kernel
        self._managers = managers
        self._ledgers = ledgers
        self._clock = clock
        self._until = until
        self._done: list[str] = []
        self._notes: list[str] = []

    def apply(self, wish: Wish, configure: Configure) -> Outcome:
        """Bring the instance to what is wished for, first at EC2, then in the kernel.

        Raises:
            AwsError: EC2 refuses, or does not answer; what was done stays, and the next run goes on from there.
            NetworkRefused: the kernel does.
            NotInTime: the time was up before the effect showed.
            StateUnavailable: the ledger cannot be written.
        """
        self._settle_ledger()
        short = self._reach(wish)
        self._forget_the_forsaken()
        instance = self._look()
        left = plan(instance, wish)
        self._notes += [*short, *left.notes]
        if configure is not Configure.NEVER:
            self._configure(wanted(instance.primary, instance.ours, instance.subnet.cidr), configure)
        return Outcome(left, tuple(self._done), tuple(self._notes), complete=not (short or left.steps or left.notes))

    def release(self) -> Outcome:
        """Take away what `apply` has added, first in the kernel, then at EC2; nothing of anybody else's.

        Raises:
            AwsError, NetworkRefused, NotInTime, StateUnavailable: as with `apply`.
        """
        self._settle_ledger()
        instance = self._look()
        ledger = self._ledgers.read()
        added = tuple(each for each in ledger.added if each in instance.primary.secondary_addresses)
        theirs = [address for each in instance.ours for address in each.addresses]
        self._change(removal(self._kernel.look(), [*added, *ledger.added, *theirs]))
        if added:
            self._ec2.unassign(instance.primary.id, added)
            self._say(f"took {_count(added)} from {instance.primary.id}")
        self._ledgers.write(replace(ledger, added=()))
        for each in (*instance.ours, *instance.free):
            self._ec2.detach(each.id)
            self._ec2.delete(each.id)
            self._say(f"deleted {each.id}")
        instance = self._look()
        left = plan(instance, Wish(count=1))
        return Outcome(left, tuple(self._done), tuple(self._notes), complete=True)

    def would_release(self) -> tuple[str, ...]:
        """What `release` would take away, one line each; nothing is changed.

        Raises:
            AwsError, StateUnavailable: it cannot be told.
        """
        instance, ledger = self._look(), self._ledgers.read()
        now = instance.primary.secondary_addresses
        known = ledger if ledger.before is None else ledger.with_assigned(now)
        added = [f"take {each} from {instance.primary.id}" for each in known.added if each in now]
        return (*added, *(f"delete {each.id}" for each in (*instance.ours, *instance.free)))

    def _look(self) -> Instance:
        return look(self._facts, self._ec2)

    def _say(self, line: str) -> None:
        self._done.append(line)

    # EC2

    def _settle_ledger(self) -> None:
        """Find out what became of what a crashed run had begun."""
        ledger = self._ledgers.read()
        if ledger.before is not None or ledger.added:
            now = self._settled_addresses(ledger.before)
            ledger = (ledger if ledger.before is None else ledger.with_assigned(now)).without_gone(now)
            self._ledgers.write(ledger)
        if ledger.creation is not None:
            self._create(ledger.creation)

    def _settled_addresses(self, before: tuple[str, ...] | None) -> tuple[str, ...]:
        """Of the primary interface, the secondary ones; if more had been asked for, EC2 is given time to show them."""
        until = min(self._until, self._clock.now() + SETTLE_SECONDS)
        while (now := self._look().primary.secondary_addresses) == before and self._clock.now() < until:
            self._clock.sleep(LOOK_SECONDS)
        return now

    def _reach(self, wish: Wish) -> list[str]:
        """Do one step and look again, until none is left; why something cannot be had."""
        while steps := plan(instance := self._look(), wish).steps:
            if self._clock.now() >= self._until:
                raise NotInTime(f"the time was up before: {steps[0]}", hint="run it again: it goes on from there")
            try:
                self._carry_out(steps[0], instance)
            except AwsRefused as error:
                if error.code not in SHORTFALLS:
                    raise
                return [error.message]
        return []

    def _carry_out(self, step: Step, instance: Instance) -> None:
        match step:
            case Await(interface):
                self._ec2.wait_until_settled(interface.id)
                return
            case KeepNot(interface):
                self._ec2.delete_with_instance(interface.id)
            case Assign(interface, total):
                self._assign(interface.id, total, instance)
            case Attach(interface, device_index):
                self._attach(interface.id, device_index)
            case Create(addresses, _):
                primary = instance.primary
                creation = Creation(str(uuid.uuid4()), primary.subnet_id, primary.security_groups, addresses)
                self._ledgers.write(replace(self._ledgers.read(), creation=creation))
                self._create(creation)
                return
            case Delete(interface):
                self._ec2.delete(interface.id)
        self._say(str(step))

    def _assign(self, interface_id: str, total: int, instance: Instance) -> None:
        if interface_id != instance.primary.id:
            self._ec2.assign(interface_id, total)
            return
        begun = replace(self._ledgers.read(), before=instance.primary.secondary_addresses)
        self._ledgers.write(begun)
        now = tuple(self._ec2.assign(interface_id, total))
        self._ledgers.write(begun.with_assigned(now[1:]))

    def _create(self, creation: Creation) -> None:
        """Once for a token; an interface that has been created and not attached is found by its tag from now on."""
        tags = {OWNER_TAG: self._facts.instance_id, TOKEN_TAG: creation.token, "Name": "spotwatch addresses"}
        try:
            interface_id = self._ec2.create(
                creation.subnet_id, creation.security_groups, creation.addresses, creation.token, tags
            )
        except (AwsRefused, AwsDenied, AwsNotFound, AwsUnsettled):
            # Nothing came of it, or it is gone: another try has to be another one.
            self._ledgers.write(replace(self._ledgers.read(), creation=None))
            raise
        self._wait_until_shown(interface_id)
        self._ledgers.write(replace(self._ledgers.read(), creation=None))
        self._say(f"created {interface_id} with {creation.addresses} addresses")

    def _wait_until_shown(self, interface_id: str) -> None:
        """Until the next look finds it by its tag; else the next plan would create another one."""
        while interface_id not in _ids(self._look()):
            if self._clock.now() >= self._until:
                raise NotInTime(f"EC2 does not list {interface_id}, which it has created", hint="run it again")
            self._clock.sleep(LOOK_SECONDS)

    def _attach(self, interface_id: str, device_index: int) -> None:
        try:
            self._ec2.attach(interface_id, self._facts.instance_id, device_index)
        except (AwsRefused, AwsDenied, AwsNotFound):
            with suppress(AwsError):  # the next run finds it by its tag
                self._ec2.delete(interface_id)
            raise

    def _forget_the_forsaken(self) -> None:
        """Best effort: it is not for this instance, and not worth its start."""
        try:
            for each in self._ec2.forsaken(OWNER_TAG, self._look().subnet.id):
                self._ec2.delete(each.id)
                self._say(f"deleted {each.id}, left by {each.tags[OWNER_TAG]}, which is gone")
        except AwsError as error:
            self._notes.append(f"could not look for interfaces that dead instances have left: {error.message}")

    # the kernel

    def _configure(self, interfaces: Sequence[Wanted], configure: Configure) -> None:
        self._wait(
            lambda network: [f"{each.interface_id} ({each.mac})" for each in missing_links(interfaces, network)],
            "the machine does not show",
            "see 'ip link' and the kernel's log",
        )
        mine, managed = self._divided(interfaces, configure)
        network = self._kernel.look()
        self._change((*changes(mine, network), *obsolete(mine, network)))
        for program, theirs in managed.items():
            self._notes.append(
                f"{program} configures {', '.join(each.interface_id for each in theirs)}; we leave it to it"
            )
            self._wait(
                lambda network, theirs=theirs: [described(each) for each in changes(theirs, network)],  # type: ignore[misc]
                f"{program} has not done",
                "see its log, or say --configure always",
            )

    def _divided(
        self, interfaces: Sequence[Wanted], configure: Configure
    ) -> tuple[list[Wanted], dict[str, list[Wanted]]]:
        """What we configure, and what another program does, by its name."""
        network = self._kernel.look()
        mine: list[Wanted] = []
        managed: dict[str, list[Wanted]] = {}
        for each in interfaces:
            link = network.link_of(each.mac)
            program = "" if configure is Configure.ALWAYS or link is None else self._managers.of(link, each.addresses)
            (managed.setdefault(program, []) if program and each.addresses else mine).append(each)
        return mine, managed

    def _change(self, todo: Sequence[Change]) -> None:
        for change in todo:
            self._kernel.change(change)
        if todo:
            self._say(f"made {_count(todo, 'change')} in the kernel: {'; '.join(map(described, todo))}")

    def _wait(self, missing: Callable[[Network], Sequence[str]], what: str, hint: str) -> None:
        while left := missing(self._kernel.look()):
            if self._clock.now() >= self._until:
                raise NotInTime(f"{what}, in time: {'; '.join(left)}", hint=hint)
            self._clock.sleep(LOOK_SECONDS)


def _ids(instance: Instance) -> set[str]:
    return {each.id for each in (*instance.attached, *instance.free)}


def _count(things: Sequence[object], word: str = "address") -> str:
    plural = "es" if word.endswith("s") else "s"
    return f"{len(things)} {word}{'' if len(things) == 1 else plural}"
