"""What the process that reads one volume is told, and the words that tell it."""

import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from spotwatch.cli.destinations import Keeping, add_keeping_options, keeping
from spotwatch.core.errors import UsageError
from spotwatch.core.quantity import parse_duration
from spotwatch.core.settings import Hints, ObjectLayout, ShipSettings
from spotwatch.core.volume import Agent, AgentKind


@dataclass(frozen=True, slots=True)
class Order:
    """What is read, and how.

    Attributes:
        to: the URL of the destination.
        kept: how S3 keeps what is shipped.
        read_positions, unproven_positions: what becomes of bytes that only hints speak of.
        objects: how files become objects.
        scratch: a directory for what the replay writes.
        workers: cores to use.
        time_limit: seconds.
        device: of the volume, or its image in a file; empty if a directory is read.
        directory: with the files of the volume; empty if a device is read.
        volume_id: empty: the device's serial, else the UUID of its file system.
        instance_id, mount_point, log_paths, agents: as in `VolumeLabel`; None leaves it to the label on the volume.
        dry_run: whether nothing is stored.
    """

    to: str
    kept: Keeping
    read_positions: Hints
    unproven_positions: Hints
    objects: ObjectLayout
    scratch: str
    workers: int
    time_limit: float
    device: str = ""
    directory: str = ""
    volume_id: str = ""
    instance_id: str | None = None
    mount_point: str | None = None
    log_paths: tuple[str, ...] | None = None
    agents: tuple[Agent, ...] | None = None
    dry_run: bool = False

    def words(self) -> Iterator[str]:
        """The command line of ``spotwatch`` that reads the volume, without the words of the draft."""
        yield "ship"
        told = {
            "--to": self.to,
            "--device": self.device,
            "--directory": self.directory,
            "--volume-id": self.volume_id,
            "--instance-id": self.instance_id,
            "--mount-point": self.mount_point,
            "--read-positions": self.read_positions,
            "--unproven-positions": self.unproven_positions,
            "--objects": self.objects,
            "--scratch": self.scratch,
            "--workers": str(self.workers),
        }
        yield from (f"{word}={value}" for word, value in told.items() if value)
        yield from (f"--log-path={path}" for path in self.log_paths or ())
        yield from (f"--agent={agent.kind}:{agent.state}" for agent in self.agents or ())
        if self.dry_run:
            yield "--dry-run"


def add_order_options(parser: ArgumentParser) -> None:
    """Declare the words that an order is made from."""
    parser.add_argument("--to", metavar="URL", help="s3://BUCKET/PREFIX or file:///DIRECTORY (default: ship.to)")
    source = parser.add_argument_group("a volume that is already here, shipped without AWS")
    which = source.add_mutually_exclusive_group()
    which.add_argument("--device", metavar="DEV", default="", help="a block device, or a disk image in a file")
    which.add_argument("--directory", metavar="DIR", default="", help="where its files are")
    source.add_argument("--volume-id", metavar="ID", default="", help="(default: serial, or UUID of the file system)")
    source.add_argument("--instance-id", metavar="ID", help="whose logs they are")
    source.add_argument("--mount-point", metavar="DIR", help="where it was mounted: paths in positions begin with it")
    source.add_argument("--log-path", metavar="GLOB", action="append", help="of log files, from the volume's root")
    source.add_argument(
        "--agent", metavar="KIND:PATH", action="append", type=_agent, help=f"its state; {', '.join(AgentKind)}"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="ship nothing: say what would be shipped of the volume that is here, and why; of the leftover volumes "
        "say what would be done with each",
    )
    how = parser.add_argument_group("how it is shipped (default: as [ship] in the settings says)")
    how.add_argument("--read-positions", choices=[*Hints], help="what an agent has read, and perhaps not delivered")
    how.add_argument("--unproven-positions", choices=[*Hints], help="what is done of a file known by its name alone")
    how.add_argument("--objects", choices=[*ObjectLayout], help="many files an object, or an object a range")
    how.add_argument("--scratch", metavar="DIR", help="where the replay of a journal writes")
    how.add_argument("--time-limit", metavar="TIME", type=_seconds, help="for the reading of one volume")
    how.add_argument("--workers", metavar="N", type=_count, help="cores for one volume (default: all)")
    add_keeping_options(parser)


def add_batch_options(parser: ArgumentParser) -> None:
    """Declare the words of the batch job."""
    group = parser.add_argument_group("leftover volumes of this zone, the batch job")
    group.add_argument("--volume", metavar="ID", action="append", help="only this one; may be repeated")
    group.add_argument("--keep", action="store_true", default=None, help="delete no volume (default: ship.keep)")
    group.add_argument("--retain", metavar="TIME", type=_duration, help="delete it so long after it was shipped")
    group.add_argument("--snapshot", action="store_true", default=None, help="of a volume that is quarantined")
    group.add_argument("--jobs", metavar="N", type=_count, help="the most volumes at a time")
    group.add_argument("--host-instance-id", metavar="ID", default="", help="this instance (default: asks metadata)")
    group.add_argument("--availability-zone", metavar="AZ", default="", help="its zone (likewise)")
    group.add_argument("--region", metavar="REGION", default="", help="its region (likewise)")


_OF_ONE_VOLUME: Final = ("volume_id", "instance_id", "mount_point", "log_path", "agent")
_OF_THE_BATCH: Final = (
    "volume", "keep", "retain", "snapshot", "jobs", "host_instance_id", "availability_zone", "region"
)  # fmt: skip


def check_words(arguments: Namespace) -> None:
    """See that no word is given that would be passed over.

    Raises:
        UsageError: one is, and which.
    """
    is_by_hand = bool(arguments.device or arguments.directory)
    for name in _OF_THE_BATCH if is_by_hand else _OF_ONE_VOLUME:
        if getattr(arguments, name) in ("", None):
            continue
        word = f"--{name.replace('_', '-')}"
        if is_by_hand:
            raise UsageError(f"{word} is for the batch job", hint="take it away, or --device and --directory")
        raise UsageError(f"{word} needs --device or --directory", hint="the batch job knows it from a volume's tags")


def order_of(arguments: Namespace, settings: ShipSettings) -> Order:
    """What the command line says, and the settings where it says nothing.

    Raises:
        UsageError: something is missing, or contradicts something else.
    """
    to = arguments.to or settings.to
    if not to:
        raise UsageError("there is no destination", hint="name one with --to, or with ship.to in the settings")
    if arguments.directory and not arguments.volume_id:
        raise UsageError(
            "--directory needs --volume-id", hint="name what its objects are kept under; a device has its serial"
        )
    return Order(
        to=to,
        kept=keeping(arguments, settings),
        device=arguments.device,
        directory=arguments.directory and os.path.abspath(arguments.directory),
        volume_id=arguments.volume_id,
        instance_id=arguments.instance_id,
        mount_point=arguments.mount_point,
        log_paths=tuple(arguments.log_path) if arguments.log_path else None,
        agents=tuple(arguments.agent) if arguments.agent else None,
        read_positions=Hints(arguments.read_positions or settings.read_positions),
        unproven_positions=Hints(arguments.unproven_positions or settings.unproven_positions),
        objects=ObjectLayout(arguments.objects or settings.objects),
        scratch=arguments.scratch or settings.scratch,
        workers=arguments.workers or os.cpu_count() or 1,
        time_limit=arguments.time_limit or settings.time_limit,
        dry_run=arguments.dry_run,
    )


def _agent(text: str) -> Agent:
    kind, _, state = text.partition(":")
    if kind not in [*AgentKind] or not state:
        raise ArgumentTypeError(f'"{text}" is no agent; write KIND:PATH, KIND being one of {", ".join(AgentKind)}')
    return Agent(AgentKind(kind), state)


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _seconds(text: str) -> float:
    seconds = _duration(text)
    if seconds <= 0:
        raise ArgumentTypeError("write a time longer than zero")
    return seconds


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError("write a whole number of at least 1")
    return int(text)
