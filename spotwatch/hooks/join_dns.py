"""``join-dns``: who asks a name service is sent to this instance too, at each of its addresses.

For `on = ["start"]`; run it again after addresses were added or removed, and it is put right.
"""

from argparse import ArgumentParser, Namespace
from functools import partial
from typing import Final

from spotwatch.core.errors import UsageError
from spotwatch.core.name_record import NameChange, record_type
from spotwatch.hooks import name_records
from spotwatch.hooks.name_records import Work, listed, own_addresses, registrations
from spotwatch.hooks.services import Services

SUMMARY = "put the addresses of the instance under a name, and wait until the name service answers with them"
IAM_ACTIONS: tuple[str, ...] = (
    *name_records.IAM_ACTIONS,
    "servicediscovery:RegisterInstance",
    "servicediscovery:DeregisterInstance",
)

HEAVIEST: Final = 255
"""The greatest weight of a weighted record (Route 53 API reference, ResourceRecordSet)."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the words of its command line."""
    name_records.add_arguments(parser, joining=True)


def run(arguments: Namespace, services: Services, *, dry_run: bool) -> int:
    """Put them there; 75 if the wait was cut by the deadline, else the exit code of the first error.

    Raises:
        SpotwatchError: nothing could be done at all.
    """
    if dry_run and "SPOTWATCH_REHEARSAL" in services.environment:
        print(f"would put the addresses of the instance under {', '.join(arguments.names)}")
        return 0
    wanted = registrations(arguments, services, _addresses(arguments, services), _weight(arguments, services))
    work = Work.begin(arguments, services, services.instance().region)
    changes = work.change({one.name: partial(work.service.join, one, dry_run=dry_run) for one in wanted})
    shown = set() if dry_run else work.wait(changes)
    for change in changes:
        _tell(change, dry_run=dry_run, shown=change.name in shown)
    return work.exit_code


def _addresses(arguments: Namespace, services: Services) -> tuple[str, ...]:
    """IPv6 only where it is asked for: a client that prefers it would find nobody listening."""
    found = own_addresses(arguments, services)
    wanted = [one for one in found if arguments.addresses or arguments.ipv6 or record_type(one) == "A"]
    if not wanted:
        raise UsageError(
            "no network interface of this machine has an address to put there", hint="say which with --address"
        )
    return tuple(wanted)


def _weight(arguments: Namespace, services: Services) -> int:
    if getattr(arguments, "policy", "") != "weighted":
        return 1
    weight = int(arguments.weight_per_vcpu * services.vcpus)
    if weight > HEAVIEST:
        raise UsageError(
            f"{services.vcpus} vCPUs at {arguments.weight_per_vcpu} each make a weight of {weight}, and Route 53 takes "
            f"{HEAVIEST} at the most",
            hint="lower --weight-per-vcpu on all instances of the name",
        )
    return weight


def _tell(change: NameChange, *, dry_run: bool, shown: bool) -> None:
    for remark in change.remarks:
        print(f"{change.name}: {remark}")
    if not change.put:
        print(f"{change.name}: all of this instance is there already{', and answered' if shown else ''}", flush=True)
        return
    done = "would be put there" if dry_run else f"put there{', and answered' if shown else ''}"
    print(f"{change.name}: {listed(change.put)} {done}", flush=True)
