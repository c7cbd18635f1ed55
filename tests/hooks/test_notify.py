"""notify, with recipients that behave as the test wants; the journal's answers are the test's own."""

import threading
import time
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from spotwatch.core.drain_so_far import DrainSoFar
from spotwatch.core.errors import (
    AwsDenied,
    AwsThrottled,
    InputError,
    NotificationDeferred,
    NotificationRefused,
    UsageError,
)
from spotwatch.core.notification import Notification
from spotwatch.core.report import InstanceFacts, Verdict
from spotwatch.hooks import built_in, courier, notify
from spotwatch.hooks.recipient_places import EventBusPlace, RecipientPlace, ServicePlace, SnsPlace, WebhookPlace
from spotwatch.host.told import Told
from tests.notify.notifications import INSTANCE
from tests.reports import make_hook_report, make_report

TOPIC = "arn:aws:sns:eu-west-1:123456789012:ops"

TOLD = {
    "SPOTWATCH_DRAIN_ID": "d-1",
    "SPOTWATCH_HOOK": "notify",
    "SPOTWATCH_EVENT": "terminate",
    "SPOTWATCH_ACTION": "terminate",
    "SPOTWATCH_DEADLINE": "2026-01-01T00:02:00Z",
    "SPOTWATCH_TIMEOUT": "115",
    "SPOTWATCH_SECONDS_LEFT": "120",
}


class RealClock:
    def now(self) -> float:
        return time.monotonic()


@dataclass
class FakeRecipient:
    """Remembers what it was told; before that it fails with what `fails` holds, in order.

    Attributes:
        hangs: whether it never answers.
    """

    name: str = "ops"
    fails: list[BaseException] = field(default_factory=list)
    hangs: bool = False
    told: list[Notification] = field(default_factory=list)
    attempts: int = 0

    def preview(self, notification: Notification) -> str:
        return notification.title

    def tell(self, notification: Notification) -> None:
        self.attempts += 1
        if self.hangs:
            threading.Event().wait()
        if self.fails:
            raise self.fails.pop(0)
        self.told.append(notification)

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(each.event, each.state) for each in self.told]


@dataclass
class HookServices:
    """What the hook works with.

    Attributes:
        views: what the journal says, one look after the other; the last one for good.
    """

    recipient: FakeRecipient
    environment: Mapping[str, str]
    views: list[DrainSoFar | None]
    told_file: str = ""
    others: Sequence[FakeRecipient] = ()
    refuses: dict[type, Exception] = field(default_factory=dict)
    regions: list[str] = field(default_factory=list)
    clock: RealClock = field(default_factory=RealClock)
    born: float = field(default_factory=time.monotonic)
    looks: int = 0

    def instance(self) -> InstanceFacts:
        return INSTANCE

    def recipients(self, place: RecipientPlace, region: str) -> Sequence[FakeRecipient]:
        if type(place) in self.refuses:
            raise self.refuses[type(place)]
        self.regions.append(region)
        return [self.recipient, *self.others]

    def told(self) -> Told:
        return Told(self.told_file)

    def drain_so_far(self) -> DrainSoFar | None:
        self.looks += 1
        return self.views.pop(0) if len(self.views) > 1 else self.views[0]


def view(
    *awaited: str,
    event: str = "terminate",
    verdict: Verdict = Verdict.DRAINED,
    seconds: float = 120.0,
    in_background: bool = True,
    is_for_hook: bool = True,
    hooks: Sequence[Any] = (),
) -> DrainSoFar:
    """A drain in which these hooks are awaited."""
    report = make_report(*hooks, event=event)
    now = time.monotonic()
    return DrainSoFar(report, now + seconds, now + seconds - 5, awaited, verdict, in_background, is_for_hook)


Run = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def recipient() -> FakeRecipient:
    return FakeRecipient()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(courier, "FIRST_WAIT", 0.02)
    monkeypatch.setattr(notify, "BLIND_SECONDS", 0.1)


@pytest.fixture
def run(recipient: FakeRecipient, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(
        *words: str,
        views: Sequence[DrainSoFar | None] = (None,),
        environment: Mapping[str, str] = TOLD,
        dry_run: bool = False,
        **services: Any,
    ) -> tuple[int, list[str]]:
        hook: Any = built_in("notify")
        parser = ArgumentParser()
        hook.add_arguments(parser)
        made = HookServices(recipient, environment, list(views), **services)
        code = hook.run(parser.parse_args(words or ("--sns", TOPIC)), made, dry_run=dry_run)
        return code, capsys.readouterr().out.splitlines()

    return run


def test_the_notice_is_told_at_once_and_the_end_when_nothing_is_awaited(run: Run, recipient: FakeRecipient) -> None:
    code, out = run(views=[view("a", "b"), view("b"), view()])
    assert (code, out) == (0, ["noticed: told ops", "drained: told ops"])
    assert recipient.states == [("terminate", "noticed"), ("terminate", "drained")]
    noticed, drained = recipient.told
    assert (noticed.verdict, noticed.unfinished, drained.verdict) == ("running", ("a", "b"), "drained")
    assert noticed.instance == INSTANCE
    assert noticed.seconds_left == pytest.approx(120, abs=1)


@pytest.mark.parametrize(
    ("verdict", "state"), [("failed", "failed"), ("cut", "failed"), ("canceled", "canceled"), ("drained", "drained")]
)
def test_the_end_is_told_as_the_verdict_has_it(run: Run, recipient: FakeRecipient, verdict: str, state: str) -> None:
    hooks = [make_hook_report("a", status="failed", exit_code=1)]
    run(views=[view("a"), view(verdict=Verdict(verdict), hooks=hooks)])
    end = recipient.told[-1]
    assert (end.state, end.verdict, [hook.name for hook in end.hooks]) == (state, verdict, ["a"])


def test_only_the_states_that_are_asked_for_are_told(run: Run, recipient: FakeRecipient) -> None:
    run("--sns", TOPIC, "--when", "failed,unfinished", views=[view("a"), view(verdict=Verdict.CUT)])
    assert recipient.states == [("terminate", "failed")]


def test_a_stronger_event_is_a_change_too(run: Run, recipient: FakeRecipient) -> None:
    run(views=[view("a", event="rebalance"), view("a"), view()])
    assert recipient.states == [("rebalance", "noticed"), ("terminate", "noticed"), ("terminate", "drained")]


def test_one_that_is_not_for_the_stronger_event_ends(run: Run, recipient: FakeRecipient) -> None:
    code, out = run(views=[view("a", event="rebalance"), view("a", is_for_hook=False)])
    assert (code, recipient.states) == (0, [("rebalance", "noticed")])
    assert out[-1] == "a stronger event came, terminate, and this hook is not for it"


def test_a_hook_that_the_stages_wait_for_tells_the_notice_and_why_no_more(run: Run, recipient: FakeRecipient) -> None:
    code, out = run(views=[view("a", in_background=False)])
    assert (code, recipient.states) == (0, [("terminate", "noticed")])
    assert "the end of the drain will not be told: it is not in the background (background = true)" in out


def test_or_only_the_notice_if_that_is_all_it_is_there_for(run: Run) -> None:
    assert run("--sns", TOPIC, "--when", "noticed", views=[view("a", in_background=False)]) == (
        0,
        ["noticed: told ops"],
    )


def test_without_a_journal_the_notice_is_told_as_the_environment_has_it(run: Run, recipient: FakeRecipient) -> None:
    code, out = run(views=[None])
    assert (code, recipient.states) == (0, [("terminate", "noticed")])
    assert recipient.told[0].deadline == "2026-01-01T00:02:00Z"
    assert out[-1] == "the end of the drain will not be told: the journal does not have it"


def test_a_journal_that_is_not_to_be_read_for_a_moment_is_looked_into_again(run: Run, recipient: FakeRecipient) -> None:
    run(views=[None, None, view("a"), None, view()])
    assert recipient.states == [("terminate", "noticed"), ("terminate", "drained")]


class TestTrouble:
    def test_that_passes_is_overcome(self, run: Run, recipient: FakeRecipient) -> None:
        recipient.fails = [NotificationDeferred("answered 503"), AwsThrottled("sns:Publish: Throttling")]
        code, _ = run(views=[*[view("a")] * 20, view()])
        assert (code, recipient.attempts) == (0, 4)
        assert recipient.states == [("terminate", "noticed"), ("terminate", "drained")]

    def test_that_is_final_is_said_and_the_end_is_tried_nonetheless(self, run: Run, recipient: FakeRecipient) -> None:
        recipient.fails = [AwsDenied("sns:Publish: AuthorizationError", hint="allow the IAM action sns:Publish")]
        code, out = run(views=[*[view("a")] * 5, view()])
        assert (code, recipient.states) == (77, [("terminate", "drained")])
        said = "missing: ops: noticed: sns:Publish: AuthorizationError; allow the IAM action sns:Publish"
        assert out == [said, "drained: told ops"]

    def test_what_has_not_arrived_when_there_is_newer_is_not_told_any_more(
        self, run: Run, recipient: FakeRecipient
    ) -> None:
        recipient.fails = [NotificationDeferred("answered 429", after=60.0)]
        code, out = run(views=[*[view("a")] * 5, view()])
        assert (code, recipient.states) == (75, [("terminate", "drained")])
        assert out == ["missing: ops: noticed: answered 429", "drained: told ops"]

    def test_the_wait_that_is_asked_for_is_kept(self, run: Run, recipient: FakeRecipient) -> None:
        recipient.fails = [NotificationDeferred("answered 429", after=0.3)]
        began = time.monotonic()
        run("--sns", TOPIC, "--when", "noticed", views=[view("a", in_background=False)])
        assert (recipient.attempts, time.monotonic() - began > 0.3) == (2, True)

    def test_a_wait_beyond_the_end_is_not_begun(self, run: Run, recipient: FakeRecipient) -> None:
        recipient.fails = [NotificationDeferred("answered 429", after=300.0)]
        began = time.monotonic()
        code, out = run("--sns", TOPIC, "--when", "drained", views=[view()])
        assert (code, out) == (75, ["missing: ops: drained: answered 429"])
        assert time.monotonic() - began < 2

    def test_one_who_hangs_holds_up_nobody_and_only_for_the_limit(self, run: Run, recipient: FakeRecipient) -> None:
        other = FakeRecipient("other")
        recipient.hangs = True
        began = time.monotonic()
        code, out = run("--sns", TOPIC, "--limit", "300ms", views=[view("a"), view()], others=[other])
        assert 0.3 < time.monotonic() - began < 2
        assert (code, other.states) == (75, [("terminate", "noticed"), ("terminate", "drained")])
        assert out[-2:] == [
            "cut by the deadline: ops has not answered: noticed",
            "cut by the deadline: ops has not answered: drained",
        ]

    def test_no_time_is_taken_beyond_our_own(self, run: Run, recipient: FakeRecipient) -> None:
        recipient.hangs = True
        began = time.monotonic()
        code, _ = run(views=[view("a", seconds=7.0)], environment={**TOLD, "SPOTWATCH_TIMEOUT": "2"})
        assert (code, time.monotonic() - began < 2) == (75, True)

    def test_a_bug_is_one(self, run: Run, recipient: FakeRecipient) -> None:
        recipient.fails = [ZeroDivisionError()]
        with pytest.raises(ZeroDivisionError):
            run(views=[view("a")])

    def test_a_recipient_that_cannot_be_made_does_not_keep_the_others_from_being_told(
        self, run: Run, recipient: FakeRecipient
    ) -> None:
        refuses = {ServicePlace: InputError("/etc/x cannot be read: No such file", hint="see its path")}
        code, out = run("--service-file", "/etc/x", "--sns", TOPIC, views=[view("a"), view()], refuses=refuses)
        assert code == 65
        assert out[0] == "missing: the services of /etc/x: /etc/x cannot be read: No such file; see its path"
        assert recipient.states == [("terminate", "noticed"), ("terminate", "drained")]


class TestNearTheDeadline:
    def test_what_is_not_over_is_told_while_there_is_time(self, run: Run, recipient: FakeRecipient) -> None:
        code, _ = run(views=[view("a", "b", seconds=7.0)], environment={**TOLD, "SPOTWATCH_TIMEOUT": "2"})
        assert (code, recipient.states) == (0, [("terminate", "noticed"), ("terminate", "unfinished")])
        assert recipient.told[-1].unfinished == ("a", "b")

    def test_a_deadline_that_moves_closer_is_kept(self, run: Run, recipient: FakeRecipient) -> None:
        began = time.monotonic()
        run(views=[view("a", event="rebalance", seconds=600.0), view("a", seconds=7.0)])
        assert recipient.states[-1] == ("terminate", "unfinished")
        assert time.monotonic() - began < 2

    def test_one_that_moves_away_is_made_use_of(self, run: Run, recipient: FakeRecipient) -> None:
        late = [view("a", seconds=60.0)] * 60
        run(views=[*late, view()], environment={**TOLD, "SPOTWATCH_TIMEOUT": "1.5"})
        assert recipient.states == [("terminate", "noticed"), ("terminate", "drained")]


class TestRunAgain:
    def test_nothing_is_told_twice(self, run: Run, recipient: FakeRecipient, tmp_path: Any) -> None:
        file = str(tmp_path / "told")
        run(views=[view("a", is_for_hook=True), view("a", is_for_hook=False)], told_file=file)
        code, out = run(views=[view("a"), view()], told_file=file)
        assert (code, out) == (0, ["drained: told ops"])
        assert recipient.states == [("terminate", "noticed"), ("terminate", "drained")]
        assert run(views=[view()], told_file=file) == (0, [])

    def test_who_was_not_told_is(self, run: Run, recipient: FakeRecipient, tmp_path: Any) -> None:
        file, other = str(tmp_path / "told"), FakeRecipient("other", fails=[NotificationRefused("answered 404")])
        code, _ = run(views=[view("a"), view("a", is_for_hook=False)], told_file=file, others=[other])
        assert code == 69
        run(views=[view("a"), view("a", is_for_hook=False)], told_file=file, others=[other])
        assert (len(recipient.told), len(other.told)) == (1, 1)

    def test_where_it_cannot_be_written_it_is_told_all_the_same(self, run: Run, recipient: FakeRecipient) -> None:
        code, out = run(views=[view()], told_file="/nonexistent/told")
        assert (code, len(recipient.told)) == (0, 2)
        assert out[1] == "not recorded: /nonexistent/told cannot be written: No such file or directory"


class TestByHand:
    def test_it_is_tried_whether_anything_arrives(self, run: Run, recipient: FakeRecipient) -> None:
        assert run(environment={}) == (0, ["trial: told ops"])
        assert recipient.told[0].instance == INSTANCE

    def test_also_where_only_some_states_are_told(self, run: Run) -> None:
        assert run("--sns", TOPIC, "--when", "failed", environment={}) == (0, ["trial: told ops"])

    def test_a_dry_run_shows_what_would_be_told_and_tells_nobody(self, run: Run, recipient: FakeRecipient) -> None:
        code, out = run(environment={}, dry_run=True)
        assert (code, recipient.attempts, out[0]) == (0, 0, "would tell ops:")
        assert out[1].endswith("a trial of spotwatch's notifications")

    def test_a_dry_run_in_a_drain_shows_the_notice(self, run: Run) -> None:
        assert run(views=[view("a")], dry_run=True)[1][1].endswith("terminate noticed, 2 min left")

    def test_a_rehearsal_reads_no_secret_and_tells_nobody(self, run: Run, recipient: FakeRecipient) -> None:
        words = ["--webhook", "https://hooks.example.com/s3cr3t", "--webhook-file", "/etc/w", "--sns", TOPIC]
        words += ["--service-file", "/etc/s", "--event-bus", "fleet"]
        code, out = run(*words, environment={**TOLD, "SPOTWATCH_REHEARSAL": "1"}, dry_run=True)
        assert (code, recipient.attempts) == (0, 0)
        whom = f"a webhook, the webhooks of /etc/w, {TOPIC}, the services of /etc/s, event bus fleet"
        assert out == [f"would tell {whom}: canceled, drained, failed, noticed, unfinished"]


class TestWords:
    def places(self, *words: str) -> list[RecipientPlace]:
        hook: Any = built_in("notify")
        parser = ArgumentParser()
        hook.add_arguments(parser)
        return list(notify._places(parser.parse_args(words)))

    def test_headers_and_template_are_for_all_webhooks_and_order_is_kept(self) -> None:
        places = self.places(
            *("--event-bus", "default", "--webhook", "https://a/b", "--webhook-file", "/w"),
            *("--template", "/t", "--header-file", "/h"),
        )
        assert [type(place) for place in places] == [EventBusPlace, WebhookPlace, WebhookPlace]
        for place in places[1:]:
            assert isinstance(place, WebhookPlace)
            assert (str(place.template), str(place.header_file)) == ("/t", "/h")

    def test_a_topic_s_region_is_in_its_arn(self) -> None:
        assert self.places("--sns", TOPIC) == [SnsPlace(TOPIC)]

    @pytest.mark.parametrize(
        "words",
        [
            ["--webhook", "hooks.example.com/s3cr3t"],
            ["--sns", "ops"],
            ["--when", "never"],
            ["--limit", "0s"],
            ["--when", ""],
        ],
    )
    def test_mistakes_are_found_at_once_and_show_no_url(
        self, words: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit):
            self.places(*words)
        assert "s3cr3t" not in capsys.readouterr().err

    def test_nobody_to_tell_is_a_mistake(self, run: Run) -> None:
        with pytest.raises(UsageError, match="nobody is named"):
            run("--limit", "5s")
