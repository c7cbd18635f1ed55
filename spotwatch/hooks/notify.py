"""``notify``: people and programs are told when the state of the drain changes: noticed, then drained or failed.

It runs in the background (``background = true``) through the whole drain, so no stage waits for it: it tells at once
that the event was noticed, follows the daemon's journal until all other hooks are over, and tells what came of it.

What this survives:

- An endpoint that swallows everything. Each recipient has a thread of its own, nobody waits for one beyond the
  deadline, and after the other hooks have ended no longer than the limit.
- Trouble that passes: it is tried again, for as long as the drain goes on. What has not arrived when there is something
  newer to tell is not told any more.
- The death of the daemon, and of this hook with it. What was told is written down, for each recipient, so a second
  run tells what is missing. Between the answer of a recipient and that line it may die too; so the same change always
  has the same id, by which a recipient can tell that it knows it.
"""

import queue
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

from spotwatch.core.drain_so_far import DrainSoFar
from spotwatch.core.errors import InputError, SpotwatchError, Transient, UsageError
from spotwatch.core.notification import TRIAL, DrainState, Notification, end_state
from spotwatch.core.report import InstanceFacts, Verdict
from spotwatch.hooks.courier import Courier, Fate
from spotwatch.hooks.recipient_places import EventBusPlace, RecipientPlace, ServicePlace, SnsPlace, WebhookPlace
from spotwatch.hooks.services import Recipient, Services, Told
from spotwatch.hooks.side_by_side import CUT
from spotwatch.hooks.time_left import END_SECONDS, TimeLeft
from spotwatch.hooks.volume_words import positive_seconds

SUMMARY = "tell people and programs that an event was noticed, and what came of the drain"
IAM_ACTIONS: tuple[str, ...] = ("sns:Publish", "events:PutEvents")
FOLLOWS_DRAIN = True

LOOK_SECONDS: Final = 0.5
"""Between two looks into the journal."""

BLIND_SECONDS: Final = 3.0
"""For which the journal may not be to be read: the daemon writes into it, or is being restarted."""

LAST_SHARE: Final = 0.25
"""Of our time, at the most, that is kept to tell that the drain is not over."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the words of its command line."""
    parser.add_argument(
        "--webhook",
        metavar="URL",
        dest="places",
        type=_url,
        action="append",
        default=[],
        help="post JSON there; for a URL that is no secret, since the command line is none. May be repeated, like all "
        "that name a recipient",
    )
    parser.add_argument(
        "--webhook-file",
        metavar="FILE",
        dest="places",
        type=lambda text: WebhookPlace(Path(text)),
        action="append",
        help="the same with the URLs in a file, one a line",
    )
    parser.add_argument(
        "--header-file", metavar="FILE", type=Path, help="more headers for the webhooks, one a line: Name: value"
    )
    parser.add_argument(
        "--template",
        metavar="FILE",
        type=Path,
        help='what is posted to the webhooks: JSON with placeholders in its texts, such as {"text": "$title"} '
        "(default: all that there is to tell)",
    )
    parser.add_argument(
        "--service-file",
        metavar="FILE",
        dest="places",
        type=lambda text: ServicePlace(Path(text)),
        action="append",
        help="tell Slack, PagerDuty, Teams, mail, …: a file with apprise's URLs, one a line (extra notify)",
    )
    parser.add_argument(
        "--sns",
        metavar="ARN",
        dest="places",
        type=_topic,
        action="append",
        help="publish to this SNS topic (extra aws)",
    )
    parser.add_argument(
        "--event-bus",
        metavar="NAME",
        dest="places",
        type=EventBusPlace,
        action="append",
        help='put an event on this bus of EventBridge, by its name or ARN, such as "default" (extra aws)',
    )
    parser.add_argument(
        "--when",
        metavar="STATE[,STATE...]",
        type=_states,
        default=frozenset(DrainState),
        help=f"tell these only: {', '.join(DrainState)} (default: all)",
    )
    parser.add_argument(
        "--limit",
        metavar="TIME",
        type=positive_seconds,
        default=10.0,
        help="the longest that telling may take once all other hooks are over (default: 10s)",
    )


def run(arguments: Namespace, services: Services, *, dry_run: bool) -> int:
    """Tell them; 75 if somebody was not told in time, else the exit code of the first error.

    Raises:
        UsageError: nobody is to be told.
    """
    places = list(_places(arguments))
    if not places:
        raise UsageError("nobody is named who is to be told", hint="add --webhook-file, --service-file, --sns, …")
    if dry_run and "SPOTWATCH_REHEARSAL" in services.environment:
        print(f"would tell {', '.join(map(_in_words, places))}: {', '.join(sorted(arguments.when))}")
        return 0
    work = _Work(services, arguments.when, arguments.limit)
    work.find(places)
    return work.preview() if dry_run else work.run()


def _places(arguments: Namespace) -> Iterator[RecipientPlace]:
    for place in arguments.places:
        if isinstance(place, WebhookPlace):
            yield WebhookPlace(place.source, arguments.header_file, arguments.template)
        else:
            yield place


def _in_words(place: RecipientPlace) -> str:
    match place:
        case WebhookPlace(source):
            return f"the webhooks of {source}" if isinstance(source, Path) else "a webhook"
        case ServicePlace(file):
            return f"the services of {file}"
        case SnsPlace(arn):
            return arn
        case EventBusPlace(bus):
            return f"event bus {bus}"


def _url(text: str) -> RecipientPlace:
    if not text.startswith(("http://", "https://")):
        raise ArgumentTypeError("write the whole URL of the webhook, which begins with https://")
    return WebhookPlace(text)


def _topic(text: str) -> RecipientPlace:
    if len(text.split(":")) != 6 or not text.startswith("arn:"):
        raise ArgumentTypeError(f'"{text}": write the topic\'s ARN, such as arn:aws:sns:eu-west-1:123456789012:ops')
    return SnsPlace(text)


def _states(text: str) -> frozenset[DrainState]:
    try:
        return frozenset(map(DrainState, text.split(",")))
    except ValueError:
        raise ArgumentTypeError(f'"{text}": known are {", ".join(DrainState)}') from None


class _Work:
    """One run of the hook.

    Attributes:
        give_up_at: when nobody is waited for any more (boot clock, seconds).
    """

    give_up_at: float

    def __init__(self, services: Services, when: frozenset[DrainState], limit: float) -> None:
        self._services = services
        self._clock = services.clock
        self._when = when
        self._limit = limit
        self._began = self._seen_at = self._clock.now()
        time = TimeLeft.of(services)
        self._deadline = time.deadline
        self._have_until(time.until)
        self._told: Told = services.told()
        self._recipients: list[Recipient] = []
        self._couriers: list[Courier] = []
        self._fates: queue.SimpleQueue[Fate] = queue.SimpleQueue()
        self._on_its_way: dict[tuple[int, str], Notification] = {}
        self._codes: list[int] = []
        self._event = ""
        self._ended = False

    def find(self, places: Sequence[RecipientPlace]) -> None:
        """Make the recipients; those of a place that cannot be used are missing, and the others are told."""
        for place in places:
            region = self._instance.region if isinstance(place, EventBusPlace) else ""
            try:
                self._recipients += self._services.recipients(place, region)
            except (InputError, UsageError) as error:
                self._failed(_in_words(place), error)

    def preview(self) -> int:
        """Say who would be told, and the first thing that would be told."""
        view = self._services.drain_so_far()
        notification = self._notification(view, DrainState.NOTICED if self._in_drain else TRIAL)
        for recipient in self._recipients:
            try:
                print(f"would tell {recipient.name}:\n{recipient.preview(notification)}")
            except SpotwatchError as error:
                self._failed(recipient.name, error)
        return self._codes[0] if self._codes else 0

    def run(self) -> int:
        """Follow the drain to its end; without one, try whether anything arrives."""
        numbered = enumerate(self._recipients, start=1)
        self._couriers = [
            Courier(number, recipient, self._clock, lambda: self.give_up_at, self._fates)
            for number, recipient in numbered
        ]
        if self._in_drain:
            self._follow()
        else:
            self._tell(self._notification(None, TRIAL))
            self._end()
        self._collect(self.give_up_at, lambda: not self._on_its_way)
        for (number, _), notification in self._on_its_way.items():
            print(f"cut by the deadline: {self._name(number)} has not answered: {notification.state}", flush=True)
            self._codes.append(CUT)
        return self._codes[0] if self._codes else 0

    @property
    def _in_drain(self) -> bool:
        return bool(self._services.environment.get("SPOTWATCH_DRAIN_ID"))

    def _follow(self) -> None:
        """Until all other hooks are over, or nearly all of the time is."""
        while not self._ended and self._clock.now() < self.give_up_at:
            self._take(self._services.drain_so_far())
            if not self._ended:
                self._collect(self._clock.now() + LOOK_SECONDS, lambda: False)

    def _take(self, view: DrainSoFar | None) -> None:
        """Tell what is new."""
        if view is None:
            self._see_nothing()
            return
        self._seen_at = self._clock.now()
        if not view.is_for_hook:
            print(f"a stronger event came, {view.report.event}, and this hook is not for it", flush=True)
            self._end()
            return
        self._keep_to(view)
        if view.report.event != self._event:
            self._event = view.report.event
            self._tell(self._notification(view, DrainState.NOTICED))
        if not view.in_background:
            self._end_blind("it is not in the background (background = true)")
        elif not view.awaited or self._clock.now() >= self._last_call_at:
            verdict = Verdict.RUNNING if view.awaited else view.verdict
            self._tell(self._notification(view, end_state(verdict), verdict))
            self._end()

    def _see_nothing(self) -> None:
        """The journal does not have the drain; what our environment says of its event is told all the same."""
        if not self._event:
            self._event = self._services.environment.get("SPOTWATCH_EVENT", "")
            self._tell(self._notification(None, DrainState.NOTICED))
        if self._clock.now() >= self._seen_at + BLIND_SECONDS:
            self._end_blind("the journal does not have it")

    def _end_blind(self, why: str) -> None:
        """Nobody knows how the drain goes on, or it would wait for us."""
        if self._when - {DrainState.NOTICED}:
            print(f"the end of the drain will not be told: {why}", flush=True)
        self._end()

    def _end(self) -> None:
        """There is nothing more to tell."""
        self._ended = True
        self.give_up_at = min(self.give_up_at, self._clock.now() + self._limit)

    def _keep_to(self, view: DrainSoFar) -> None:
        """Our time may have become shorter, or longer, since we were told of it."""
        self._deadline = view.deadline
        if view.ends_at is not None:
            self._have_until(view.ends_at - END_SECONDS)

    def _have_until(self, moment: float) -> None:
        self.give_up_at = moment
        self._last_call_at = moment - min(self._limit, LAST_SHARE * max(0.0, moment - self._began))

    def _tell(self, notification: Notification) -> None:
        """Have everybody told who was not yet."""
        if notification.state != TRIAL and notification.state not in self._when:
            return
        for courier in self._couriers:
            if not self._told.has(_key(courier.number, courier.name, notification)):
                self._on_its_way[courier.number, notification.id] = notification
                courier.tell(notification)

    def _collect(self, until: float, is_enough: Callable[[], bool]) -> None:
        """Take note of what became of the notifications, as it comes, at the longest until then."""
        while not is_enough() and (left := until - self._clock.now()) > 0:
            try:
                self._note(self._fates.get(timeout=left))
            except queue.Empty:
                return

    def _note(self, fate: Fate) -> None:
        state, name = fate.notification.state, self._name(fate.number)
        del self._on_its_way[fate.number, fate.notification.id]
        if fate.error is None:
            print(f"{state}: told {name}", flush=True)
            if problem := self._told.add(_key(fate.number, name, fate.notification)):
                print(f"not recorded: {problem}", flush=True)
        elif isinstance(fate.error, SpotwatchError):
            self._failed(f"{name}: {state}", fate.error)
        else:
            raise fate.error

    def _failed(self, what: str, error: SpotwatchError) -> None:
        print(f"missing: {what}: {error.message}{f'; {error.hint}' if error.hint else ''}", flush=True)
        self._codes.append(CUT if isinstance(error, Transient) else error.exit_code)

    def _name(self, number: int) -> str:
        return self._recipients[number - 1].name

    def _notification(self, view: DrainSoFar | None, state: str, verdict: Verdict = Verdict.RUNNING) -> Notification:
        left = None if self._deadline is None else round(self._deadline - self._clock.now(), 1)
        if view is None:
            return self._as_told(state, left)
        report = view.report
        return Notification(
            state,
            report.drain,
            event=report.event,
            action=report.action,
            verdict=verdict.value,
            notice_time=report.notice_time or "",
            deadline=report.deadline,
            seconds_left=left,
            instance=self._instance,
            hooks=report.hooks,
            unfinished=view.awaited,
        )

    def _as_told(self, state: str, seconds_left: float | None) -> Notification:
        """With what our environment says."""
        told = self._services.environment
        return Notification(
            state,
            told.get("SPOTWATCH_DRAIN_ID", ""),
            event=told.get("SPOTWATCH_EVENT", ""),
            action=told.get("SPOTWATCH_ACTION", ""),
            notice_time=told.get("SPOTWATCH_NOTICE_TIME", ""),
            deadline=told.get("SPOTWATCH_DEADLINE", ""),
            seconds_left=seconds_left,
            instance=self._instance,
        )

    @cached_property
    def _instance(self) -> InstanceFacts:
        return self._services.instance()


def _key(number: int, name: str, notification: Notification) -> str:
    return f"{number} {name} {notification.id}"
