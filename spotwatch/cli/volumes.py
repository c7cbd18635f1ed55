"""``spotwatch volumes``: log volumes that outlived their instances, what they cost, and whether they are too many."""

import json
import os
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from spotwatch.cli.options import plural, shown_path
from spotwatch.core.errors import AwsError, UsageError
from spotwatch.core.quantity import format_duration, parse_duration
from spotwatch.core.volume import STATE_TAG, Volume, VolumeLabel
from spotwatch.host.clock import Clock
from spotwatch.ship.batch import is_leftover
from spotwatch.ship.job import REASON_TAG
from spotwatch.ship.volumes import Lease

if TYPE_CHECKING:
    from spotwatch.aws.session import Session

DESCRIPTION = """\
List the log volumes that outlived their instances and are still there: those
to be shipped, those that somebody ships now, those that were shipped and are
kept, and those in quarantine. Volumes attached to their own instance are none.
"""

EPILOG = """\
The IAM actions ec2:DescribeVolumes, pricing:GetProducts (without it prices are
said to be missing) and, for --metric, cloudwatch:PutMetricData are needed.

exit codes:
  0   they are listed
  1   they are listed, and an alarm has gone off
  64  the command line is wrong
  69  AWS cannot be asked
  77  AWS does not allow it; the hint names the IAM action

examples:
  spotwatch volumes
  spotwatch volumes --json | jq -r '.volumes[].id'
  spotwatch volumes --alarm-age 1d --alarm-count 10 --metric
"""

PATIENCE: Final = 60.0
"""Seconds that one call is tried for: a person may be waiting."""

NAMESPACE: Final = "spotwatch"

WIDTH_OF_A_FILE: Final = 250
"""Columns where the output is no terminal, so that no line is broken."""

_REGION: Final = re.compile(r"[a-z]+(-[a-z]+)+-\d+")
"""At the beginning of the name of an AZ or a Local Zone."""

_COLUMNS: Final = (
    "volume",
    "instance",
    "zone",
    "age",
    "size",
    "state",
    "attached to",
    "owner",
    "expires",
    "USD a month",
)


@dataclass(frozen=True, slots=True)
class Leftover:
    """What is shown of one volume; in JSON under the same names.

    Attributes:
        id: the volume's.
        instance: whose logs they are; empty if its label does not say so.
        availability_zone: where it is.
        age_seconds: since it was marked; since it was made if its label does not say so.
        size_gib, kind: as EC2 says.
        state: as its tag says.
        attached_to: an instance; empty if it is free.
        holder: who has written the last lease; empty if nobody has.
        owner, expires: as its label says.
        usd_a_month: None if the price is not known.
        quarantine: why it is in quarantine; empty if it is not.
        problem: what is wrong with its label; empty if nothing is.
    """

    id: str
    instance: str
    availability_zone: str
    age_seconds: float
    size_gib: int
    kind: str
    state: str
    attached_to: str
    holder: str
    owner: str
    expires: datetime | None
    usd_a_month: Decimal | None
    quarantine: str
    problem: str

    def to_json(self) -> dict[str, Any]:
        """Times in RFC 3339, money as a number."""
        told = {name: getattr(self, name) for name in self.__slots__}
        return {
            **told,
            "expires": self.expires.isoformat() if self.expires else None,
            "usd_a_month": float(round(self.usd_a_month, 4)) if self.usd_a_month is not None else None,
        }


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's words."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--availability-zone", metavar="AZ", default="", help="such as eu-west-1a (default: the region)")
    where.add_argument("--region", metavar="REGION", default="", help="(default: as AWS is configured)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--usd-per-gib-month", metavar="USD", type=_money, help="count with this price instead of asking AWS for prices"
    )
    alarms = parser.add_argument_group("alarms (exit code 1)")
    alarms.add_argument("--alarm-age", metavar="TIME", type=_seconds, help="one is older than this, such as 1d")
    alarms.add_argument("--alarm-count", metavar="N", type=_count, help="there are more than so many")
    parser.add_argument(
        "--metric",
        metavar="NAMESPACE",
        nargs="?",
        const=NAMESPACE,
        help=f"publish LeftoverVolumes and OldestLeftoverAgeSeconds to CloudWatch (namespace: {NAMESPACE})",
    )


def run(arguments: Namespace) -> int:
    """Show them."""
    session = _session(arguments)
    found = [volume for volume in _labelled(session, arguments.availability_zone) if is_leftover(volume)]
    cost, problem = _costs(session, found, arguments.usd_per_gib_month)
    now = datetime.now(UTC)
    leftovers = sorted(
        (_leftover(volume, now, cost.get(volume.id)) for volume in found), key=lambda each: (-each.age_seconds, each.id)
    )
    alarms = list(_alarms(leftovers, arguments.alarm_age, arguments.alarm_count))
    if arguments.json:
        print(json.dumps(_document(leftovers, alarms, problem), indent=2))
    else:
        _print(leftovers, problem)
    for alarm in alarms:
        print(f"spotwatch: {alarm}", file=sys.stderr)
    if arguments.metric:
        _publish(session, arguments.metric, leftovers, arguments.availability_zone)
    return 1 if alarms else 0


def _session(arguments: Namespace) -> "Session":
    try:
        from spotwatch.aws.session import Session
    except ImportError:
        raise UsageError("this needs the package boto3", hint="install the extra: pip install '.[ship]'") from None
    of_the_zone = _REGION.match(arguments.availability_zone)
    region = arguments.region or (of_the_zone[0] if of_the_zone else None)
    return Session(Clock(), patience=PATIENCE, region=region)


def _labelled(session: "Session", availability_zone: str) -> list[Volume]:
    from spotwatch.aws.volumes import Volumes

    return list(Volumes(session.api("ec2")).labelled(availability_zone))


def _costs(session: "Session", volumes: Sequence[Volume], usd: Decimal | None) -> tuple[dict[str, Decimal], str]:
    """What is known of the costs, and why the rest is not."""
    if usd is not None:
        return {volume.id: usd * volume.size_gib for volume in volumes}, ""
    from spotwatch.aws.price_list import home
    from spotwatch.aws.storage_prices import StoragePrices

    prices = StoragePrices(session.api("pricing", region=home(session.region)), session.region)
    try:
        costs = {volume.id: prices.usd_a_month(volume) for volume in volumes}
    except AwsError as error:
        return {}, f"{error.message} (hint: {error.hint or 'give --usd-per-gib-month'})"
    missing = sorted({volume.kind for volume in volumes if costs[volume.id] is None})
    problem = f"AWS lists no price of {', '.join(missing)} in {session.region}" if missing else ""
    return {volume: cost for volume, cost in costs.items() if cost is not None}, problem


def _leftover(volume: Volume, now: datetime, usd: Decimal | None) -> Leftover:
    try:
        label, problem = VolumeLabel.from_tags(volume.tags), ""
    except ValueError as error:
        label, problem = None, str(error)
    lease = Lease.from_tags(volume.tags)
    return Leftover(
        id=volume.id,
        instance=label.instance_id if label else "",
        availability_zone=volume.availability_zone,
        age_seconds=max(0.0, (now - (label.marked_at if label else volume.created)).total_seconds()),
        size_gib=volume.size_gib,
        kind=volume.kind,
        state=volume.tags.get(STATE_TAG, ""),
        attached_to=volume.instance_id,
        holder=lease.holder if lease else "",
        owner=label.owner if label else "",
        expires=label.expires if label else None,
        usd_a_month=usd,
        quarantine=volume.tags.get(REASON_TAG, ""),
        problem=problem,
    )


def _alarms(leftovers: Sequence[Leftover], age: float | None, count: int | None) -> Sequence[str]:
    alarms = []
    if age is not None and leftovers and leftovers[0].age_seconds > age:
        oldest = leftovers[0]
        alarms.append(
            f"{oldest.id} has been left over for {shown_age(oldest.age_seconds)}, longer than {format_duration(age)}"
        )
    if count is not None and len(leftovers) > count:
        alarms.append(f"{plural(len(leftovers), 'volume')} left over, more than {count}")
    return alarms


def _document(leftovers: Sequence[Leftover], alarms: Sequence[str], problem: str) -> Mapping[str, Any]:
    return {
        "volumes": [leftover.to_json() for leftover in leftovers],
        "usd_a_month": _sum(leftovers, lambda total: float(round(total, 4))),
        "price_problem": problem or None,
        "alarms": list(alarms),
    }


def _sum(leftovers: Sequence[Leftover], form: Callable[[Decimal], Any]) -> Any:
    """The costs of all together; None if one is not known."""
    known = [leftover.usd_a_month for leftover in leftovers if leftover.usd_a_month is not None]
    return form(sum(known, Decimal(0))) if len(known) == len(leftovers) else None


def _print(leftovers: Sequence[Leftover], problem: str) -> None:
    if not leftovers:
        print("no leftover volume")
        return
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        raise UsageError("the table needs the package rich", hint="take --json, or install '.[ship]'") from None
    table = Table(*_COLUMNS, box=None, pad_edge=False, header_style="bold")
    for number in (3, 4, 9):
        table.columns[number].justify = "right"
    for leftover in leftovers:
        table.add_row(*_cells(leftover))
    Console(width=None if os.isatty(1) else WIDTH_OF_A_FILE, highlight=False, markup=False).print(table)
    for leftover in leftovers:
        if leftover.quarantine:
            print(f"{leftover.id}: in quarantine: {shown_path(leftover.quarantine)}")
        if leftover.problem:
            print(f"{leftover.id}: {leftover.problem}")
    total = _sum(leftovers, lambda usd: f"{usd:.2f} USD a month")
    size = sum(leftover.size_gib for leftover in leftovers)
    print(f"{plural(len(leftovers), 'volume')}, {size} GiB, {total or 'costs not known'}")
    if problem:
        print(f"prices: {problem}")


def _cells(leftover: Leftover) -> tuple[str, ...]:
    usd = leftover.usd_a_month
    return (
        leftover.id,
        leftover.instance or "unknown",
        leftover.availability_zone,
        shown_age(leftover.age_seconds),
        f"{leftover.size_gib} GiB",
        leftover.state,
        leftover.attached_to or "-",
        leftover.owner or "-",
        leftover.expires.strftime("%Y-%m-%d") if leftover.expires else "-",
        "unknown" if usd is None else f"{usd:.2f}",
    )


def shown_age(seconds: float) -> str:
    """For people: in minutes; days from two on, since these volumes are measured in them."""
    minutes = round(seconds / 60)
    return f"{minutes // 1440} d {minutes // 60 % 24} h" if minutes >= 2880 else format_duration(minutes * 60)


def _publish(session: "Session", namespace: str, leftovers: Sequence[Leftover], availability_zone: str) -> None:
    from spotwatch.aws.metrics import Metric, publish

    oldest = leftovers[0].age_seconds if leftovers else 0.0
    metrics = (
        Metric("LeftoverVolumes", len(leftovers), "Count"),
        Metric("OldestLeftoverAgeSeconds", oldest, "Seconds"),
    )
    where = {"AvailabilityZone": availability_zone} if availability_zone else {"Region": session.region}
    publish(session.api("cloudwatch"), namespace, metrics, where)


def _seconds(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _count(text: str) -> int:
    if not text.isdecimal():
        raise ArgumentTypeError("write a whole number")
    return int(text)


def _money(text: str) -> Decimal:
    try:
        usd = Decimal(text)
    except InvalidOperation:
        usd = Decimal(-1)
    if not usd.is_finite() or usd < 0:
        raise ArgumentTypeError("write a price such as 0.08")
    return usd
