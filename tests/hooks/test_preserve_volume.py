"""preserve-volume: what is set, written and tagged, and what is left of it when something refuses."""

import json
from argparse import ArgumentParser
from dataclasses import replace
from datetime import timedelta

import pytest

from spotwatch.core.errors import AwsDenied, AwsError, AwsThrottled, AwsUnreachable, AwsUnsettled, VolumeRefused
from spotwatch.core.report import InstanceFacts
from spotwatch.core.volume import Agent, AgentKind, VolumeLabel, VolumeState
from spotwatch.hooks import preserve_volume
from tests.hooks.services import INSTANCE, NOW, FakeAttachment, FakeEc2, FakeFileSystems, FakeLogVolume, FakeServices

VOLUME = "vol-0aaaaaaaaaaaaaaaa"
OTHER = "vol-0bbbbbbbbbbbbbbbb"
NOTE = "/var/log/app/label.json"
DENIED = AwsDenied("ec2:X: UnauthorizedOperation", hint="allow the IAM action ec2:X")

WORDS = (
    *("--mount-point", "/var/log/app", "--log-path", "app/*.log", "--log-path", "nginx/*"),
    *("--owner", "ops", "--agent", "fluent-bit:state/tail.db", "--expires", "30d"),
)


def run(services: FakeServices, *words: str, dry_run: bool = False) -> int:
    parser = ArgumentParser(exit_on_error=False)
    preserve_volume.add_arguments(parser)
    arguments = parser.parse_args(words or ("--mount-point", "/var/log/app"))
    return preserve_volume.run(arguments, services, dry_run=dry_run)


def on(event: str, **parts: object) -> FakeServices:
    return FakeServices(environment={"SPOTWATCH_EVENT": event}, **parts)  # type: ignore[arg-type]


def ec2_of(services: FakeServices) -> FakeEc2:
    assert isinstance(services.aws, FakeEc2)
    return services.aws


class TestKeep:
    def test_delete_on_termination_is_false_afterwards(self, capsys: pytest.CaptureFixture[str]) -> None:
        services = on("start")
        assert run(services) == 0
        assert not ec2_of(services).attached[0].delete_on_termination
        assert "DeleteOnTermination was true, and is false now" in capsys.readouterr().out

    def test_what_is_false_already_is_not_set_again(self) -> None:
        services = on("terminate", aws=FakeEc2(FakeAttachment(delete_on_termination=False)))
        assert run(services) == 0
        assert "keep_on_termination" not in ec2_of(services).calls

    def test_other_volumes_of_the_instance_are_left_as_they_are(self) -> None:
        root = FakeAttachment(OTHER, "/dev/xvda")
        assert run(on("start", aws=FakeEc2(root, FakeAttachment()))) == 0
        assert root.delete_on_termination

    def test_all_volumes_under_lvm_or_raid_are_kept(self, capsys: pytest.CaptureFixture[str]) -> None:
        """One alone would be worth nothing."""
        found = FakeLogVolume((VOLUME, OTHER), layers=("LVM",))
        services = on("start", volume=found, aws=FakeEc2(FakeAttachment(), FakeAttachment(OTHER, "/dev/sdg")))
        assert run(services) == 0
        assert not any(one.delete_on_termination for one in ec2_of(services).attached)
        label = VolumeLabel.from_tags(ec2_of(services).tags[OTHER])
        assert (label.layers, label.members) == (("LVM",), (VOLUME, OTHER))
        assert "with LVM between" in capsys.readouterr().out

    def test_a_xen_disk_is_found_by_the_name_of_its_attachment(self) -> None:
        services = on("start", volume=FakeLogVolume((), ("/dev/sdf", "/dev/xvdf")))
        assert run(services) == 0
        assert VOLUME in ec2_of(services).tags

    def test_the_root_volume_is_kept_and_that_is_said(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(on("start", volume=FakeLogVolume(is_root=True))) == 0
        assert "it is the root volume: all of it is kept, and paid for" in capsys.readouterr().out

    @pytest.mark.parametrize("event", ["stop", "hibernate"])
    def test_a_volume_that_stays_attached_is_left_alone(self, event: str, capsys: pytest.CaptureFixture[str]) -> None:
        services = on(event)
        assert run(services) == 0
        assert ec2_of(services).calls == []
        assert services.file_systems.notes == {}
        assert capsys.readouterr().out == f"the volume of /var/log/app stays attached on {event}: left alone\n"

    def test_what_is_on_no_ebs_volume_is_refused(self) -> None:
        with pytest.raises(VolumeRefused, match="it is in memory"):
            run(on("start", volume=VolumeRefused("/var/log/app is on tmpfs: it is in memory")))


class TestLabel:
    def test_everything_that_was_named_is_in_the_tags(self) -> None:
        services = on("start")
        assert run(services, *WORDS) == 0
        assert VolumeLabel.from_tags(ec2_of(services).tags[VOLUME]) == VolumeLabel(
            state=VolumeState.ARMED,
            instance_id=INSTANCE.id,
            availability_zone="eu-west-1a",
            marked_at=NOW,
            mount_point="/var/log/app",
            filesystem_uuid="0af1-b",
            log_paths=("app/*.log", "nginx/*"),
            agents=(Agent(AgentKind.FLUENT_BIT, "state/tail.db"),),
            owner="ops",
            expires=NOW + timedelta(days=30),
        )

    def test_the_same_is_on_the_volume_itself(self) -> None:
        services = on("start")
        run(services, *WORDS)
        assert json.loads(services.file_systems.notes[NOTE]) == ec2_of(services).tags[VOLUME]

    @pytest.mark.parametrize(
        ("event", "state"),
        [
            ("start", VolumeState.ARMED),
            ("rebalance", VolumeState.ARMED),
            ("", VolumeState.ARMED),
            ("terminate", VolumeState.INTERRUPTED),
            ("lifecycle", VolumeState.INTERRUPTED),
        ],
    )
    def test_its_state_follows_from_the_event(self, event: str, state: VolumeState) -> None:
        services = on(event)
        run(services)
        assert VolumeLabel.from_tags(ec2_of(services).tags[VOLUME]).state is state

    def test_what_an_earlier_label_had_more_of_is_gone(self) -> None:
        """Tags that are not set again would stay."""
        services = on("start")
        run(services, *WORDS)
        ec2_of(services).tags[VOLUME]["Name"] = "logs"
        run(services, "--mount-point", "/var/log/app", "--log-path", "only/*")
        tags = ec2_of(services).tags[VOLUME]
        label = VolumeLabel.from_tags(tags)
        assert (label.log_paths, label.agents, label.owner, label.expires) == (("only/*",), (), "", None)
        assert tags["Name"] == "logs"

    def test_without_a_zone_in_the_environment_it_is_that_of_the_volume(self) -> None:
        services = on("start", facts=replace(INSTANCE, availability_zone=""))
        run(services)
        assert VolumeLabel.from_tags(ec2_of(services).tags[VOLUME]).availability_zone == "eu-west-1a"

    def test_a_volume_that_is_not_mounted_is_labelled_all_the_same(self, capsys: pytest.CaptureFixture[str]) -> None:
        services = on("start", volume=FakeLogVolume(mount_point=""))
        assert run(services) == 0
        assert VolumeLabel.from_tags(ec2_of(services).tags[VOLUME]).mount_point == ""
        assert "missing: the volume is not mounted, so no label was written onto it" in capsys.readouterr().out


class TestTrouble:
    """What can be done is done, what is missing is said, and the exit code says whether the volume survives."""

    @pytest.mark.parametrize(
        ("refused", "code", "kept", "tagged"),
        [
            ("attachments", 1, False, True),
            ("keep_on_termination", 1, False, True),
            ("describe", 0, True, True),
            ("tag", 0, True, False),
        ],
    )
    @pytest.mark.parametrize(
        "error",
        [
            DENIED,
            AwsThrottled("ec2:X: RequestLimitExceeded", hint="try again later"),
            AwsUnreachable("ec2:X: no route", hint="see whether the endpoint can be reached from here"),
        ],
        ids=["denied", "throttled", "unreachable"],
    )
    def test_a_step_that_fails_keeps_no_other_from_being_done(
        self,
        refused: str,
        code: int,
        kept: bool,
        tagged: bool,
        error: AwsError,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        services = on("start", aws=FakeEc2(FakeAttachment(), **{refused: error}))
        assert run(services) == code
        assert ec2_of(services).attached[0].delete_on_termination is not kept
        assert bool(ec2_of(services).tags) is tagged
        assert NOTE in services.file_systems.notes
        out = capsys.readouterr().out
        assert out.count("missing: ") == 1
        assert f"{error.message}; {error.hint}" in out

    def test_without_any_aws_the_label_is_on_the_volume(self, capsys: pytest.CaptureFixture[str]) -> None:
        services = on("terminate", aws=DENIED)
        assert run(services) == 1
        assert json.loads(services.file_systems.notes[NOTE])["spotwatch:state"] == "interrupted"
        assert "missing: AWS cannot be asked: ec2:X: UnauthorizedOperation; allow the IAM action" in (
            capsys.readouterr().out
        )

    def test_a_value_that_does_not_show_in_time_is_a_failure(self, capsys: pytest.CaptureFixture[str]) -> None:
        late = AwsUnsettled("DeleteOnTermination of /dev/sdf still shows as true")
        assert run(on("start", aws=FakeEc2(FakeAttachment(), keep_on_termination=late))) == 1
        assert "DeleteOnTermination does not show as false" in capsys.readouterr().out

    def test_a_volume_that_ec2_does_not_know_at_the_instance_is_a_failure(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        services = on("start", aws=FakeEc2(FakeAttachment(OTHER)))
        assert run(services) == 1
        assert ec2_of(services).attached[0].delete_on_termination
        assert f"missing: {VOLUME} is not attached to {INSTANCE.id}" in capsys.readouterr().out

    def test_a_xen_disk_that_ec2_does_not_know_is_a_failure(self, capsys: pytest.CaptureFixture[str]) -> None:
        services = on("start", volume=FakeLogVolume((), ("/dev/sdg", "/dev/xvdg")))
        assert run(services) == 1
        assert "missing: EC2 knows no volume" in capsys.readouterr().out

    def test_who_does_not_know_which_instance_this_is_cannot_ask(self, capsys: pytest.CaptureFixture[str]) -> None:
        services = on("start", facts=InstanceFacts())
        assert run(services) == 1
        assert ec2_of(services).calls == []
        assert "missing: neither SPOTWATCH_INSTANCE_ID nor the metadata service" in capsys.readouterr().out

    def test_a_volume_that_takes_no_note_is_kept_all_the_same(self, capsys: pytest.CaptureFixture[str]) -> None:
        services = on("start", file_systems=FakeFileSystems(no_note="Read-only file system"))
        assert run(services) == 0
        assert VOLUME in ec2_of(services).tags
        assert "missing: Read-only file system" in capsys.readouterr().out


class TestTime:
    @pytest.mark.parametrize(
        ("told", "until"),
        [
            ({"SPOTWATCH_TIMEOUT": "20.0", "SPOTWATCH_SECONDS_LEFT": "100.0"}, 999.5 + 19),
            ({"SPOTWATCH_TIMEOUT": "100.0", "SPOTWATCH_SECONDS_LEFT": "20.0"}, 999.5 + 19),
            ({"SPOTWATCH_TIMEOUT": "rubbish"}, 1060),
            ({}, 1060),
        ],
        ids=["its own limit", "the deadline", "no number", "by hand"],
    )
    def test_aws_is_asked_for_as_long_as_there_is_time(self, told: dict[str, str], until: float) -> None:
        services = FakeServices(environment=told)
        run(services)
        assert services.asked_until == until


class TestDryRun:
    def test_it_says_everything_and_does_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        services = on("terminate")
        assert run(services, *WORDS, dry_run=True) == 0
        assert ec2_of(services).calls == []
        assert services.file_systems.notes == {}
        out = capsys.readouterr().out
        assert "would set DeleteOnTermination to false" in out
        assert "would tag spotwatch:state=interrupted" in out
        assert "would tag spotwatch:agent-1=fluent-bit:state/tail.db" in out

    def test_a_refusal_is_one_there_too(self) -> None:
        with pytest.raises(VolumeRefused):
            run(on("start", volume=VolumeRefused("no EBS volume")), dry_run=True)

    def test_in_a_rehearsal_the_disk_of_a_developer_is_no_failure(self, capsys: pytest.CaptureFixture[str]) -> None:
        services = FakeServices({"SPOTWATCH_REHEARSAL": "1"}, volume=VolumeRefused("no EBS volume"))
        assert run(services, dry_run=True) == 0
        assert capsys.readouterr().out == "on this machine it would be refused: no EBS volume\n"


@pytest.mark.parametrize(
    ("words", "mistake"),
    [
        ((), "one of the arguments --mount-point --device --volume-id is required"),
        (("--mount-point", "/a", "--device", "/dev/b"), "not allowed with argument"),
        (("--device", "/dev/b", "--log-path", "/var/log/*.log"), "write it relative to the root of the volume"),
        (("--device", "/dev/b", "--log-path", "../x"), "write it relative to the root of the volume"),
        (("--device", "/dev/b", "--log-path", "x" * 257), "longer than the 256 characters"),
        (("--device", "/dev/b", "--owner", "x" * 257), "longer than the 256 characters"),
        (("--device", "/dev/b", "--agent", "logstash:state"), "write KIND:STATE_PATH"),
        (("--device", "/dev/b", "--agent", "vector"), "write KIND:STATE_PATH"),
        (("--device", "/dev/b", "--agent", "vector:/var/lib/vector"), "write it relative to the root of the volume"),
        (("--device", "/dev/b", "--expires", "30"), "is not a duration"),
        (("--device", "/dev/b", "--expires", "0s"), "write a time longer than zero"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_done(
    words: tuple[str, ...], mistake: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = ArgumentParser()
    preserve_volume.add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(words)
    assert mistake in capsys.readouterr().err
