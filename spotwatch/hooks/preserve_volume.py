"""``preserve-volume``: the log volume outlives its instance, and says whose logs are on it.

Run on `start`, so that a death without notice loses nothing, and again on `terminate`. Everything that can be done is
done, whatever else fails: the label goes onto the volume itself before AWS is asked, and a failure to tag does not keep
DeleteOnTermination from being set, nor the other way round.
"""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from spotwatch.core.errors import AwsError, SpotwatchError, VolumeRefused
from spotwatch.core.report import InstanceFacts
from spotwatch.core.volume import VolumeLabel, VolumeState, outdated
from spotwatch.hooks.services import Attachment, Ec2, LogVolume, Services
from spotwatch.hooks.time_left import TimeLeft
from spotwatch.hooks.volume_words import add_volume_choice, agent, on_the_volume, owner, positive_seconds

SUMMARY = "keep the log volume when the instance is terminated, and label it for who ships the logs"
IAM_ACTIONS: tuple[str, ...] = (
    "ec2:DescribeInstances",
    "ec2:ModifyInstanceAttribute",
    "ec2:DescribeVolumes",
    "ec2:CreateTags",
)

LABEL_NOTE: Final = "label.json"
"""The label on the volume itself, in its directory `.spotwatch`: the same tags, as a JSON object."""

_KEPT_ATTACHED: Final = ("stop", "hibernate")
_DOOMED: Final = ("terminate", "lifecycle")


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the words of its command line."""
    add_volume_choice(parser)
    parser.add_argument(
        "--log-path",
        metavar="GLOB",
        type=on_the_volume,
        action="append",
        default=[],
        help="log files, relative to the root of the volume, such as 'app/*.log'; may be repeated (default: all files)",
    )
    parser.add_argument(
        "--agent",
        metavar="KIND:STATE_PATH",
        type=agent,
        action="append",
        default=[],
        help="a log agent and where its state is, relative to the root of the volume, such as "
        "fluent-bit:state/tail.db; may be repeated",
    )
    parser.add_argument("--owner", metavar="TEXT", type=owner, default="", help="whom to ask about the logs")
    parser.add_argument(
        "--expires", metavar="TIME", type=positive_seconds, help="after this nobody needs the logs, such as 30d"
    )


def run(arguments: Namespace, services: Services, *, dry_run: bool) -> int:
    """Keep it; 1 if it would not survive, or nobody can say whether it would."""
    event = services.environment.get("SPOTWATCH_EVENT", "")
    if event in _KEPT_ATTACHED:
        print(f"the volume of {arguments.volume} stays attached on {event}: left alone")
        return 0
    try:
        found = services.log_volume_of(arguments.volume)
    except VolumeRefused as error:
        if dry_run and "SPOTWATCH_REHEARSAL" in services.environment:
            print(f"on this machine it would be refused: {error.message}")
            return 0
        raise
    _remark_on(found)
    instance = services.instance()
    label = _label(arguments, services.clock.utc(), found, instance, event)
    if dry_run:
        _say_what_would_be_done(found, label)
        return 0
    _write_onto_the_volume(services, found, label)
    return 0 if _in_aws(services, found, instance, label) else 1


def _remark_on(found: LogVolume) -> None:
    names = ", ".join(found.volume_ids) or f"the disk attached as {found.attached_as[0]}"
    print(f"{found.mount_point or 'not mounted'} ({found.device}): {names}")
    if found.layers:
        print(f"with {', '.join(found.layers)} between: all of its volumes are kept, and have to be shipped by hand")
    if found.is_root:
        print("it is the root volume: all of it is kept, and paid for, until somebody deletes it")


def _label(arguments: Namespace, now: datetime, found: LogVolume, instance: InstanceFacts, event: str) -> VolumeLabel:
    return VolumeLabel(
        state=VolumeState.INTERRUPTED if event in _DOOMED else VolumeState.ARMED,
        instance_id=instance.id,
        availability_zone=instance.availability_zone,
        marked_at=now,
        mount_point=found.mount_point,
        filesystem_uuid=found.filesystem_uuid,
        log_paths=tuple(arguments.log_path),
        agents=tuple(arguments.agent),
        owner=arguments.owner,
        expires=None if arguments.expires is None else now + timedelta(seconds=arguments.expires),
        layers=found.layers,
        members=found.volume_ids if len(found.volume_ids) > 1 else (),
    )


def _say_what_would_be_done(found: LogVolume, label: VolumeLabel) -> None:
    print("would set DeleteOnTermination to false")
    print(f"would write {found.mount_point}/.spotwatch/{LABEL_NOTE}" if found.mount_point else "would write no note")
    for key, value in label.to_tags().items():
        print(f"would tag {key}={value}")


def _write_onto_the_volume(services: Services, found: LogVolume, label: VolumeLabel) -> None:
    """For whoever finds the volume without its tags."""
    if not found.mount_point:
        _missing("the volume is not mounted, so no label was written onto it")
        return
    text = json.dumps(label.to_tags(), indent=2) + "\n"
    problem = services.file_systems.write_note(found.mount_point, LABEL_NOTE, text)
    if problem:
        _missing(problem)
    else:
        print(f"label written to {found.mount_point}/.spotwatch/{LABEL_NOTE}, state {label.state}")


def _missing(what: str) -> None:
    print(f"missing: {what}", flush=True)


def _tell(what: str, error: SpotwatchError) -> None:
    _missing(f"{what}: {error.message}{f'; {error.hint}' if error.hint else ''}")


def _in_aws(services: Services, found: LogVolume, instance: InstanceFacts, label: VolumeLabel) -> bool:
    """Whether it is sure that every volume outlives the instance."""
    if not instance.id:
        _missing("neither SPOTWATCH_INSTANCE_ID nor the metadata service says which instance this is")
        return False
    try:
        ec2 = services.ec2(instance.region, TimeLeft.of(services).until)
    except AwsError as error:
        _tell("AWS cannot be asked", error)
        return False
    work = _Work(ec2, found, instance)
    ids, kept = work.keep()
    for volume_id in ids:
        work.tag(volume_id, label)
    return kept


@dataclass(frozen=True, slots=True)
class _Work:
    """What is done in AWS, each step whether or not another one has failed."""

    ec2: Ec2
    found: LogVolume
    instance: InstanceFacts

    def keep(self) -> tuple[Sequence[str], bool]:
        """Keep all the volumes: their ids, as far as they are known, and whether all of them are sure to be kept."""
        try:
            attached = [one for one in self.ec2.attachments(self.instance.id) if self._is_meant(one)]
        except AwsError as error:
            _tell("DeleteOnTermination is not known", error)
            return self.found.volume_ids, False
        unknown = set(self.found.volume_ids) - {one.volume_id for one in attached}
        for volume_id in sorted(unknown):
            _missing(f"{volume_id} is not attached to {self.instance.id}, says EC2; DeleteOnTermination is not known")
        ids = [*sorted(unknown), *(one.volume_id for one in attached)]
        kept = [self._keep(one) for one in attached]
        if not ids:
            _missing(f"EC2 knows no volume of {self.instance.id} attached as {' or '.join(self.found.attached_as)}")
        return ids, bool(kept) and all(kept) and not unknown

    def tag(self, volume_id: str, label: VolumeLabel) -> None:
        """Write the label, and empty what an earlier one had more of."""
        before: Mapping[str, str] = {}
        try:
            if (volume := self.ec2.describe(volume_id)) is not None:
                before, label = volume.tags, replace(label, availability_zone=volume.availability_zone)
        except AwsError as error:
            _tell(f"{volume_id}: the tags of an earlier label are not known", error)
        try:
            self.ec2.tag(volume_id, {**label.to_tags(), **dict.fromkeys(outdated(before, label), "")})
        except AwsError as error:
            _tell(f"{volume_id} is not tagged, so 'spotwatch ship' will not find it by itself", error)
        else:
            print(f"{volume_id}: tagged, state {label.state}")

    def _is_meant(self, attachment: Attachment) -> bool:
        if self.found.volume_ids:
            return attachment.volume_id in self.found.volume_ids
        return attachment.device in self.found.attached_as

    def _keep(self, attachment: Attachment) -> bool:
        name = f"{attachment.volume_id} ({attachment.device})"
        if not attachment.delete_on_termination:
            print(f"{name}: DeleteOnTermination is false")
            return True
        try:
            self.ec2.keep_on_termination(self.instance.id, attachment.device)
        except AwsError as error:
            _tell(f"{name}: DeleteOnTermination does not show as false", error)
            return False
        print(f"{name}: DeleteOnTermination was true, and is false now")
        return True
