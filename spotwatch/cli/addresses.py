"""``spotwatch addresses``: more addresses for bigger instances, at EC2 and in the kernel."""

import json
import os
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from spotwatch.addresses.application import Application, Configure, Outcome
from spotwatch.addresses.ledger import Ledgers
from spotwatch.addresses.look import look
from spotwatch.addresses.plan import VCPUS_PER_ADDRESS, Instance, Plan, Wish, of_type, plan
from spotwatch.addresses.routes import changes, wanted
from spotwatch.cli.options import add_settings_options, load_settings
from spotwatch.core.errors import AlreadyRunning, AwsRefused, NetworkRefused, UsageError
from spotwatch.core.quantity import parse_duration
from spotwatch.core.settings import Settings
from spotwatch.host.clock import Clock
from spotwatch.host.lock import DirectoryLock
from spotwatch.host.network_managers import NetworkManagers
from spotwatch.host.state_text import StateText

if TYPE_CHECKING:
    from spotwatch.aws.network_interfaces import NetworkInterfaces
    from spotwatch.cli.own_facts import OwnFacts
    from spotwatch.host.netlink import Netlink

DESCRIPTION = """\
Give this instance as many addresses as its size deserves, so that a name with
a record for each address sends it its share of the requests.

  plan     how many it should hold, and what there is to do; nothing is changed
  apply    do it: assign secondary addresses, create and attach network
           interfaces in the subnet and the security groups of the primary one,
           deleted together with the instance; then addresses, routing tables
           and rules in the kernel, unless amazon-ec2-net-utils or netplan
           sees to them
  release  take away what apply has added, and nothing else
  show     what it holds now, and whether the kernel knows

Run it as often as you like, also after a crash: it looks, and does what is
left to do.
"""

EPILOG = """\
exit codes:
  0   done; with plan: nothing stands in the way
  1   fewer addresses than wanted can be had; what can is there
  64  the command line is wrong
  69  AWS, the metadata service or the kernel is not there
  73  the state directory cannot be used
  75  try again later: the time was up, or another one is at work
  77  AWS does not allow it; the message names the IAM action
  78  the settings have mistakes

IAM actions:
  plan, show      ec2:DescribeInstanceTypes, ec2:DescribeInstances,
                  ec2:DescribeNetworkInterfaces, ec2:DescribeSubnets
  apply, release  also ec2:AssignPrivateIpAddresses,
                  ec2:AttachNetworkInterface, ec2:CreateNetworkInterface,
                  ec2:CreateTags, ec2:DeleteNetworkInterface,
                  ec2:DetachNetworkInterface,
                  ec2:ModifyNetworkInterfaceAttribute,
                  ec2:UnassignPrivateIpAddresses

examples:
  spotwatch addresses plan
  spotwatch addresses plan --instance-type c6i.8xlarge --region eu-west-1
  sudo spotwatch addresses apply --vcpus-per-address 4
  sudo spotwatch addresses release
"""

ACTIONS: Final = ("plan", "apply", "release", "show")

READ_TIMEOUT: Final = 10.0
"""Seconds that an answer of EC2's may be silent for; the application waits for us."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What an action works with."""

    facts: "OwnFacts"
    ec2: "NetworkInterfaces"
    wish: Wish
    clock: Clock
    until: float


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("action", choices=ACTIONS, metavar="ACTION", help="plan, apply, release or show")
    number = parser.add_mutually_exclusive_group()
    number.add_argument(
        "--vcpus-per-address",
        type=int,
        default=VCPUS_PER_ADDRESS,
        metavar="N",
        help="one address for each N vCPUs (default: %(default)s)",
    )
    number.add_argument("--addresses", type=int, default=0, metavar="COUNT", help="so many, whatever the type")
    parser.add_argument(
        "--configure",
        choices=[each.value for each in Configure],
        default=Configure.AUTO.value,
        help="whether to tell the kernel: unless another program does (auto, the default), always, never",
    )
    parser.add_argument("--timeout", default="2m", metavar="DURATION", help="for all of it (default: %(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument("--instance-id", metavar="ID", default="", help="instead of what the metadata service says")
    parser.add_argument(
        "--instance-type", metavar="TYPE", default="", help="likewise; with plan and no instance: of a type"
    )
    parser.add_argument("--region", default="", help="likewise")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    add_settings_options(parser)


def run(arguments: Namespace) -> int:
    """Plan, apply, release or show."""
    settings = load_settings(arguments)
    parts = _parts(arguments, settings)
    if arguments.action == "plan" and arguments.instance_type and not arguments.instance_id:
        return _tell_plan(of_type(parts.ec2.limits(arguments.instance_type), parts.wish), as_json=arguments.json)
    if arguments.action == "plan" or (arguments.action == "apply" and arguments.dry_run):
        return _tell_plan(plan(look(parts.facts, parts.ec2), parts.wish), as_json=arguments.json)
    if arguments.action == "show":
        return _show(look(parts.facts, parts.ec2), as_json=arguments.json)
    return _change(arguments, settings, parts)


def _parts(arguments: Namespace, settings: Settings) -> Parts:
    clock = Clock()
    try:
        until = clock.now() + parse_duration(arguments.timeout)
    except ValueError as error:
        raise UsageError(f"--timeout: {error}", hint="write it like 90s or 2m") from None
    wish = Wish(arguments.addresses, arguments.vcpus_per_address)
    wish.of(1)
    try:
        from spotwatch.aws.network_interfaces import NetworkInterfaces
        from spotwatch.aws.session import Session
    except ModuleNotFoundError as error:
        raise AwsRefused(
            f"{error.name} is not installed", hint="install spotwatch with its extra: [addresses]"
        ) from None
    facts = _facts(arguments, settings, clock, until)
    session = Session(clock, until=until, region=facts.region or None, read_timeout=READ_TIMEOUT)
    return Parts(facts, NetworkInterfaces(session.api("ec2")), wish, clock, until)


def _facts(arguments: Namespace, settings: Settings, clock: Clock, until: float) -> "OwnFacts":
    """What the command line says; what it does not say, the metadata service does."""
    from spotwatch.cli.own_facts import OwnFacts, own_facts

    of_a_type = arguments.action == "plan" and arguments.instance_type
    if of_a_type or (arguments.instance_id and arguments.instance_type):
        return OwnFacts(arguments.instance_id, arguments.instance_type, arguments.region)
    if arguments.instance_id:
        raise UsageError("--instance-id goes with --instance-type", hint="say both, or neither on the instance itself")
    facts = own_facts(settings.metadata, clock, until)
    return replace(facts, region=arguments.region or facts.region)


def _change(arguments: Namespace, settings: Settings, parts: Parts) -> int:
    memory = StateText(os.path.join(settings.state.directory, "addresses"), "ledger.json")
    application = Application(
        parts.facts,
        parts.ec2,
        _netlink(),
        NetworkManagers(),
        Ledgers(memory, parts.facts.instance_id),
        parts.clock,
        parts.until,
    )
    if arguments.dry_run:
        lines = application.would_release()
        print(json.dumps({"would_do": lines}, indent=2) if arguments.json else "\n".join(lines) or "nothing to release")
        return 0
    memory.make_directory()
    with _alone(os.path.join(settings.state.directory, "addresses"), parts):
        if arguments.action == "release":
            outcome = application.release()
        else:
            outcome = application.apply(parts.wish, Configure(arguments.configure))
    _tell_outcome(outcome, arguments.action, as_json=arguments.json)
    return 0 if outcome.complete else 1


def _netlink() -> "Netlink":
    try:
        from spotwatch.host.netlink import Netlink
    except ModuleNotFoundError as error:
        raise NetworkRefused(
            f"{error.name} is not installed", hint="install spotwatch with its extra: [addresses]"
        ) from None
    return Netlink()


@contextmanager
def _alone(directory: str, parts: Parts) -> Iterator[None]:
    """One at a time: another one that is at work is waited for, and leaves nothing to do."""
    from spotwatch.aws.session import patiently

    lock = DirectoryLock(directory)
    try:
        patiently(parts.until, parts.clock)(lock.acquire)
    except AlreadyRunning as error:
        raise AlreadyRunning(f"another one is still at work: {error.message}", hint="run it again later") from None
    try:
        yield
    finally:
        lock.release()


def _tell_plan(found: Plan, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps(_plan_document(found), indent=2))
    else:
        limits = found.limits
        print(
            f"{limits.instance_type}: {found.vcpus} vCPU, at most {limits.enis} interfaces with {limits.ipv4_per_eni} "
            f"addresses each\nwanted {found.wanted}, held {found.held}"
        )
        print("\n".join([*(f"  {step}" for step in found.steps), *found.notes]) or "nothing to do")
    return 1 if found.notes else 0


def _plan_document(found: Plan) -> Mapping[str, Any]:
    return {
        "instance": found.instance_id,
        "type": found.limits.instance_type,
        "vcpus": found.vcpus,
        "limits": {"enis": found.limits.enis, "ipv4_per_eni": found.limits.ipv4_per_eni},
        "wanted": found.wanted,
        "held": found.held,
        "steps": [str(step) for step in found.steps],
        "notes": list(found.notes),
    }


def _tell_outcome(outcome: Outcome, action: str, *, as_json: bool) -> None:
    if as_json:
        told = {"action": action, "done": outcome.done, "notes": outcome.notes, "held": outcome.plan.held}
        print(json.dumps({**told, "wanted": outcome.plan.wanted, "complete": outcome.complete}, indent=2))
        return
    for line in (*outcome.done, *(f"note: {note}" for note in outcome.notes)):
        print(line)
    count = f"{outcome.plan.held} address{'' if outcome.plan.held == 1 else 'es'}"
    print(f"{action}: {'nothing to do, ' if not outcome.done else ''}{outcome.plan.instance_id} holds {count}")


def _show(instance: Instance, *, as_json: bool) -> int:
    """What it holds; an interface that we cannot ask the kernel about is `unknown` there."""
    rows = [
        _row(instance, interface_id) for interface_id in (instance.primary.id, *(each.id for each in instance.ours))
    ]
    rows += [
        {"id": each.id, "device": None, "addresses": each.addresses, "kernel": "not attached"} for each in instance.free
    ]
    if as_json:
        print(json.dumps({"instance": instance.id, "interfaces": rows}, indent=2))
        return 0
    for row in rows:
        print(f"{row['id']}  device {row['device']}  kernel: {row['kernel']}")
        print("".join(f"  {address}\n" for address in row["addresses"]), end="")
    return 0


def _row(instance: Instance, interface_id: str) -> dict[str, Any]:
    found = next(each for each in instance.attached if each.id == interface_id)
    device = found.attachment.device_index if found.attachment else None
    return {
        "id": found.id,
        "device": device,
        "addresses": found.addresses,
        "kernel": _kernel_s_word(instance, found.id),
    }


def _kernel_s_word(instance: Instance, interface_id: str) -> str:
    try:
        network = _netlink().look()
    except NetworkRefused as error:
        return f"unknown ({error.message})"
    each = next(
        each
        for each in wanted(instance.primary, instance.ours, instance.subnet.cidr)
        if each.interface_id == interface_id
    )
    if network.link_of(each.mac) is None:
        return "not on this machine"
    return f"{len(left)} changes are missing" if (left := changes([each], network)) else "configured"
