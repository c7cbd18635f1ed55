"""The words of a scenario, and what is said of those that are none."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from spotwatch.core.errors import ScenarioError
from spotwatch.simulate.scenario import DEFAULT_STEPS, TROUBLES, WITHDRAWABLE, Step, read_scenario, scenario
from spotwatch.simulate.service import MetadataService

ITEMS = "/latest/meta-data/"


@pytest.fixture
def service() -> Iterator[MetadataService]:
    with MetadataService(imdsv1=True) as service:
        yield service


def steps(*lines: str) -> tuple[Step, ...]:
    return scenario(lines).steps


def get(service: MetadataService, item: str) -> httpx.Response:
    return httpx.get(f"{service.url}{ITEMS}{item}", trust_env=False)


def seconds_from_now(text: str) -> float:
    return (datetime.fromisoformat(text) - datetime.now(UTC)).total_seconds()


class TestSteps:
    @pytest.mark.parametrize(
        ("line", "at", "words", "announces"),
        [
            ("2s rebalance", 2.0, "rebalance recommendation", "rebalance"),
            ("6s terminate", 6.0, "interruption notice: terminate, 2 min to go", "terminate"),
            ("1m30s stop 40s", 90.0, "interruption notice: stop, 40 s to go", "stop"),
            ("0s hibernate 0s", 0.0, "interruption notice: hibernate, 0 s to go", "hibernate"),
            ("6s terminate -10s", 6.0, "interruption notice: terminate, -10 s to go", "terminate"),
            ("5s maintenance system-reboot 60s", 5.0, "system-reboot scheduled in 60s", "maintenance"),
            ("5s lifecycle Terminated", 5.0, "target lifecycle state Terminated", "lifecycle"),
            ("5s lifecycle Standby", 5.0, "target lifecycle state Standby", ""),
            ("9s withdraw terminate", 9.0, "terminate withdrawn", ""),
            ("3s revoke-tokens", 3.0, "all session tokens revoked", ""),
            ("3s trouble refused", 3.0, "metadata service in trouble: refused", ""),
            ("  500ms   rebalance ", 0.5, "rebalance recommendation", "rebalance"),
        ],
    )
    def test_a_line_says_when_what_happens_and_what_it_announces(
        self, line: str, at: float, words: str, announces: str
    ) -> None:
        (step,) = steps(line)
        assert (step.at, step.words, step.announces) == (at, words, announces)

    def test_they_are_played_in_the_order_of_their_times(self) -> None:
        assert [step.at for step in steps("6s terminate", "2s rebalance", "4s trouble slow")] == [2.0, 4.0, 6.0]

    def test_a_trouble_that_passes_is_two_steps(self) -> None:
        assert [(step.at, step.words) for step in steps("3s trouble slow 4s")] == [
            (3.0, "metadata service in trouble: slow"),
            (7.0, "metadata service well again"),
        ]

    def test_a_withdrawal_names_what_it_takes_back(self) -> None:
        assert [step.withdraws for step in steps("1s withdraw rebalance", "2s rebalance")] == ["rebalance", ""]

    def test_the_default_announces_a_rebalance_and_then_an_interruption(self) -> None:
        assert [step.announces for step in steps(*DEFAULT_STEPS)] == ["rebalance", "terminate"]


class TestWhatTheyDo:
    @pytest.mark.parametrize("left", [120, -10])
    def test_a_notice_names_a_time_so_long_after_the_step(self, service: MetadataService, left: int) -> None:
        (step,) = steps(f"0s stop {left}s")
        step.act(service)
        notice = get(service, "spot/instance-action").json()
        assert notice["action"] == "stop"
        assert left - 2 < seconds_from_now(notice["time"]) <= left

    def test_maintenance_is_scheduled(self, service: MetadataService) -> None:
        (step,) = steps("0s maintenance instance-retirement 60s")
        step.act(service)
        (event,) = get(service, "events/maintenance/scheduled").json()
        assert event["Code"] == "instance-retirement"

    @pytest.mark.parametrize("event", WITHDRAWABLE)
    def test_what_was_announced_can_be_withdrawn(self, service: MetadataService, event: str) -> None:
        words = {"maintenance": "maintenance system-reboot 60s", "lifecycle": "lifecycle Terminated"}
        for step in steps(f"0s {words.get(event, event)}", f"1s withdraw {event}"):
            step.act(service)
        assert get(service, WITHDRAWABLE[event]).status_code == 404

    def test_revoked_tokens_are_refused(self) -> None:
        with MetadataService() as service:
            ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
            token = httpx.put(f"{service.url}/latest/api/token", headers=ttl, trust_env=False).text
            (step,) = steps("0s revoke-tokens")
            step.act(service)
            headers = {"X-aws-ec2-metadata-token": token}
            answer = httpx.get(f"{service.url}{ITEMS}mac", headers=headers, trust_env=False)
        assert answer.status_code == 401

    @pytest.mark.parametrize("kind", TROUBLES)
    def test_every_trouble_passes(self, service: MetadataService, kind: str) -> None:
        began, ended = steps(f"0s trouble {kind} 1s")
        began.act(service)
        ended.act(service)
        assert get(service, "mac").status_code == 200


class TestMistakes:
    @pytest.mark.parametrize(
        ("line", "why"),
        [
            ("", "it is empty"),
            ("   ", "it is empty"),
            ("rebalance", '"rebalance" is not a duration'),
            ("2 rebalance", '"2" is not a duration'),
            ("2s", "it does not say what happens"),
            ("2s explode", '"explode" is not known; known are terminate, stop, hibernate, rebalance, '),
            ("2s rebalance now", "words are missing or too many"),
            ("2s terminate soon", '"soon" is not a duration'),
            ("2s terminate 10s 20s", "words are missing or too many"),
            ("2s maintenance", "words are missing or too many"),
            ("2s lifecycle", "words are missing or too many"),
            ("2s withdraw notice", '"notice" is not known; known are terminate, '),
            ("2s trouble", "words are missing or too many"),
            ("2s trouble gremlins", '"gremlins" is not known; known are refused, '),
            ("2s trouble slow soon", '"soon" is not a duration'),
            ("2s trouble slow 1s 1s", "words are missing or too many"),
            ("9999d rebalance", '"9999d" is longer than a year'),
            ("2s terminate 99999999999d", '"99999999999d" is longer than a year'),
            ("2s terminate -99999999999d", '"99999999999d" is longer than a year'),
        ],
    )
    def test_a_line_that_is_not_understood_is_told_with_its_reason(self, line: str, why: str) -> None:
        with pytest.raises(ScenarioError) as caught:
            scenario([line])
        assert caught.value.message.startswith(f'the step "{line}" is not understood: {why}')
        assert '"6s terminate 120s"' in caught.value.hint


class TestFiles:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return tmp_path / "scenario.toml"

    def test_a_file_holds_steps_the_instance_and_the_service(self, file: Path) -> None:
        file.write_text(
            'steps = ["2s rebalance"]\n[instance]\ninstance_type = "t4g.nano"\n[service]\nhop_limit_exceeded = true\n'
        )
        read = read_scenario(file)
        assert [step.at for step in read.steps] == [2.0]
        assert read.instance.instance_type == "t4g.nano"
        assert (read.imdsv1, read.hop_limit_exceeded) == (False, True)

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("steps = [", "this is not TOML: "),
            ("x = " + "9" * 5000, "this is not TOML: "),
            ("", "steps: write a list of texts"),
            ('steps = "2s rebalance"', "steps: write a list of texts"),
            ("steps = [1]", "steps: write a list of texts"),
            ('steps = ["2s explode"]', 'the step "2s explode" is not understood'),
            ("steps = []\nstep = 1", '"step" is not known'),
            ("steps = []\ninstance = 1", "instance: write [instance] and its keys below"),
            ("steps = []\n[instance]\ntype = 'x'", "instance.type is not known"),
            ("steps = []\n[instance]\nregion = 1", "instance.region: write a text in quotes"),
            ("steps = []\n[service]\nimdsv1 = 1", "service.imdsv1: write true or false"),
        ],
    )
    def test_a_mistake_is_told_with_the_file(self, file: Path, text: str, why: str) -> None:
        file.write_text(text)
        with pytest.raises(ScenarioError) as caught:
            read_scenario(file)
        assert caught.value.message.startswith(f"{file}: {why}")
        assert caught.value.hint

    def test_every_mistake_is_told_at_once(self, file: Path) -> None:
        file.write_text(
            'steps = ["2s explode", "rebalance", "1s rebalance"]\nstep = 1\n"a\\nb" = 1\n'
            "[instance]\ntype = 'x'\nregion = 1\n[service]\nimdsv1 = 1\n"
        )
        with pytest.raises(ScenarioError) as caught:
            read_scenario(file)
        told = [line.removeprefix(f"{file}: ").split()[:3] for line in caught.value.message.splitlines()]
        assert told == [
            ['"step"', "is", "not"],
            [r'"a\nb"', "is", "not"],
            ["the", "step", '"2s'],
            ["the", "step", '"rebalance"'],
            ["instance.type", "is", "not"],
            ["instance.region:", "write", "a"],
            ["service.imdsv1:", "write", "true"],
        ]

    def test_a_file_that_cannot_be_read_is_told(self, file: Path, tmp_path: Path) -> None:
        for path, why in ((file, "cannot be read: No such file"), (tmp_path, "cannot be read: Is a directory")):
            with pytest.raises(ScenarioError, match=f"{path}: {why}"):
                read_scenario(path)

    def test_a_file_that_is_not_utf_8_is_told(self, file: Path) -> None:
        file.write_bytes(b'steps = ["\xff"]')
        with pytest.raises(ScenarioError, match="this is not UTF-8 text"):
            read_scenario(file)


def test_times_are_those_of_the_moment_of_the_step(service: MetadataService) -> None:
    (step,) = steps("0s rebalance")
    step.act(service)
    notice = get(service, "events/recommendations/rebalance").json()["noticeTime"]
    assert timedelta(0) <= datetime.now(UTC) - datetime.fromisoformat(notice) < timedelta(seconds=2)
