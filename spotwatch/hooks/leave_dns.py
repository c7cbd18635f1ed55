"""``leave-dns``: nobody who asks anew is sent to this instance, and with `--wait-ttl` nobody who remembers either.

Only what is the instance's is touched: how that is known is explained where each name service is spoken to
(`spotwatch.aws.route53`, `spotwatch.aws.cloud_map`, `spotwatch.dns`).
"""

from argparse import ArgumentParser, Namespace
from functools import partial

from spotwatch.core.name_record import NameChange
from spotwatch.hooks import name_records
from spotwatch.hooks.earlier_run import EarlierRun
from spotwatch.hooks.name_records import Work, listed, own_addresses, registrations
from spotwatch.hooks.services import Services

SUMMARY = "take the records of the instance out of a name service, and wait until it answers without them"
IAM_ACTIONS: tuple[str, ...] = (*name_records.IAM_ACTIONS, "servicediscovery:DeregisterInstance")


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the words of its command line."""
    name_records.add_arguments(parser, joining=False)


def run(arguments: Namespace, services: Services, *, dry_run: bool) -> int:
    """Take them out; 75 if the wait was cut by the deadline, else the exit code of the first error.

    Raises:
        SpotwatchError: nothing could be done at all.
    """
    if dry_run and "SPOTWATCH_REHEARSAL" in services.environment:
        print(f"would take the records of the instance out of {', '.join(arguments.names)}")
        return 0
    addresses = own_addresses(arguments, services)
    wanted = registrations(arguments, services, addresses, weight=1)
    work = Work.begin(arguments, services, services.instance().region)
    earlier = EarlierRun(services)
    if _has_to_remember(arguments) and not dry_run:
        looked = work.change({one.name: partial(work.service.leave, one, dry_run=True) for one in wanted})
        earlier.about_to_take(looked)
        wanted = [one for one in wanted if one.name in {change.name for change in looked}]
    changes = work.change({one.name: partial(work.service.leave, one, dry_run=dry_run) for one in wanted})
    changes = [earlier.whole(change) for change in changes]
    shown = set() if dry_run else work.wait(changes)
    for change in changes:
        _tell(change, dry_run=dry_run, shown=change.name in shown)
    if arguments.wait_ttl and not dry_run and shown:
        work.let_caches_expire(changes)
    return work.exit_code


def _has_to_remember(arguments: Namespace) -> bool:
    """Whether what it waits for may still be to come when it runs again and finds the records gone."""
    return bool(arguments.wait_ttl or getattr(arguments, "checked", ()))


def _tell(change: NameChange, *, dry_run: bool, shown: bool) -> None:
    for remark in change.remarks:
        print(f"{change.name}: {remark}")
    if not change.taken:
        print(f"{change.name}: nothing of this instance is there", flush=True)
        return
    done = "would be taken out" if dry_run else f"taken out{', and no longer answered' if shown else ''}"
    print(f"{change.name}: {listed(change.taken)} {done}", flush=True)
