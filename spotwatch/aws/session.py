"""How spotwatch speaks to AWS: one owner of patience.

What this survives:

- botocore's own retries and its limits of a minute, which outlast an instance: they are off, and each attempt may take
  seconds only.
- Retries that add up: all attempts of a piece of work share one absolute deadline, and none is begun after it.
- A server that answers something else than AWS (a proxy's page, half a document): `AwsGarbled`, and tried again, but
  not for as long as AWS's own troubles: what answers so does it for good.
"""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol, TypeVar

import boto3
from botocore import exceptions as botocore_errors
from botocore import xform_name
from botocore.client import BaseClient
from botocore.config import Config
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

from spotwatch.aws.answers import check_answer
from spotwatch.aws.errors import iam_action, mapped
from spotwatch.core.errors import AwsBroken, AwsGarbled, AwsUnreachable, Transient

CONNECT_TIMEOUT: Final = 3.0
"""Seconds; within a region a connection takes milliseconds, and one lost packet is sent again after one second."""

READ_TIMEOUT: Final = 20.0
"""Seconds between two bytes of an answer; the slowest calls that spotwatch makes answer in a few."""

FIRST_WAIT: Final = 0.5
"""Seconds; the upper bound of the random wait after the first failure, doubled after each further one."""

LONGEST_WAIT: Final = 15.0
"""Seconds; AWS's token buckets refill within this."""

GARBLED_AT_MOST: Final = 5
"""Attempts, some ten seconds of them: an answer that makes no sense that often is no accident."""

_REGION_VARIABLE: Final = "AWS_REGION"
"""What every AWS SDK reads but boto3, which knows only AWS_DEFAULT_REGION (AWS SDKs and Tools reference guide)."""

_Seen = TypeVar("_Seen")


class Clock(Protocol):
    """Who knows the time and can let it pass."""

    def now(self) -> float:
        """Seconds on a clock that never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        ...


def patiently(until: float, clock: Clock) -> Retrying:
    """Try again after `Transient` errors, with jittered and growing waits; the last error is raised when time is up.

    After `AwsGarbled` it is raised earlier, with the attempt that is `GARBLED_AT_MOST` in number.

    Args:
        until: when the last attempt may begin, in seconds on `clock`. An attempt that has begun may take its own time
            (`CONNECT_TIMEOUT`, `READ_TIMEOUT`).
        clock: measures the time and passes it.

    Raises:
        AwsUnreachable: by what is returned, if `until` has passed before the first attempt.
    """

    def begin(state: RetryCallState) -> None:
        if state.attempt_number == 1 and clock.now() >= until:
            raise AwsUnreachable("the time for the calls to AWS is up", hint="allow more time")

    def is_over(state: RetryCallState) -> bool:
        return is_in_vain(state) or clock.now() + state.upcoming_sleep >= until

    def is_in_vain(state: RetryCallState) -> bool:
        failure = state.outcome.exception() if state.outcome else None
        return isinstance(failure, AwsGarbled) and state.attempt_number >= GARBLED_AT_MOST

    return Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, Transient)),
        wait=wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT),
        before=begin,
        stop=is_over,
        sleep=clock.sleep,
        reraise=True,
    )


class Session:
    """Makes the APIs of one piece of work, which shares one deadline.

    Credentials, region and endpoints come from where botocore looks for them: the environment (`AWS_REGION`,
    `AWS_PROFILE`, `AWS_ENDPOINT_URL`, …), the shared configuration files, the instance's role.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        until: float = math.inf,
        region: str | None = None,
        read_timeout: float = READ_TIMEOUT,
        patience: float = math.inf,
    ) -> None:
        """Nothing is asked yet.

        Args:
            clock: measures the time and passes it.
            until: when the last attempt of any call may begin, in seconds on `clock`.
            patience: seconds from the first attempt of a call to its last one, for work that has many calls.
            region: stronger than what the environment says.
            read_timeout: seconds that an answer may be silent for.
        """
        self.clock = clock
        self.until = until
        self._boto: boto3.session.Session = mapped(
            "configuration", "", lambda: boto3.session.Session(region_name=region or os.environ.get(_REGION_VARIABLE))
        )
        self._patience = patience
        self._config = Config(
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=min(read_timeout, max(until - clock.now(), CONNECT_TIMEOUT)),
            retries={"total_max_attempts": 1},
            # Over HTTPS botocore would leave the body out, and rely on checksums that not every server looks at.
            s3={"payload_signing_enabled": True},
            user_agent_extra="spotwatch",
        )

    @property
    def region(self) -> str:
        """The region of all calls; empty if none is configured."""
        return self._boto.region_name or ""

    @property
    def identity(self) -> str:
        """Who asks: the account, or where the credentials do not tell it the access key's id; no secret.

        It tells apart what different accounts are answered. The credentials are fetched if they have not been yet.

        Raises:
            AwsDenied: there are no credentials.
            AwsError: they cannot be had, as its subclasses say.
        """
        return mapped("credentials", "", self._account_or_key)

    def _account_or_key(self) -> str:
        credentials = self._boto.get_credentials()
        if credentials is None:
            raise botocore_errors.NoCredentialsError
        frozen = credentials.get_frozen_credentials()
        return getattr(frozen, "account_id", None) or str(frozen.access_key)

    def known_regions(self, service: str) -> frozenset[str]:
        """The regions in which this version of botocore knows the service to be; AWS may have newer ones."""
        partitions = self._boto.get_available_partitions()
        return frozenset(
            region for partition in partitions for region in self._boto.get_available_regions(service, partition)
        )

    def api(
        self,
        service: str,
        *,
        region: str | None = None,
        endpoint: str | None = None,
        until: float = math.inf,
    ) -> "Api":
        """One service's API, by botocore's name for it (`ec2`, `s3`, …).

        Args:
            service: which.
            region: stronger than the session's.
            endpoint: the URL that it is asked at; stronger than what the environment says.
            until: as the session's, for what is not worth all of its time.

        Raises:
            AwsRefused: no region, or something else of the configuration is missing or wrong.
        """
        client = mapped(
            service,
            "",
            lambda: self._boto.client(
                service, config=self._config, region_name=region or self.region or None, endpoint_url=endpoint
            ),
        )
        client.meta.events.register("before-parse", check_answer)
        return Api(service, client, self.clock, min(until, self.until), self._patience)


class Api:
    """The calls of one AWS service, patient until the session's deadline."""

    def __init__(
        self, service: str, client: BaseClient, clock: Clock, until: float, patience: float = math.inf
    ) -> None:
        self.service = service
        self.client = client
        self._clock = clock
        self._until = until
        self._patience = patience

    @property
    def region(self) -> str:
        """The region that is asked."""
        return str(self.client.meta.region_name)

    @property
    def endpoint(self) -> str:
        """The URL that is asked."""
        return str(self.client.meta.endpoint_url)

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """One call, by the operation's name as AWS writes it (`DescribeVolumes`), with AWS's parameter names.

        Tried again after `Transient` errors: give a `ClientToken` to what must not happen twice.

        Raises:
            AwsError: as its subclasses say.
        """
        return self._patiently()(self.attempt, operation, **parameters)

    def attempt(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """The same without patience."""
        method = getattr(self.client, xform_name(operation))
        answer: dict[str, Any] = mapped(self.service, operation, lambda: method(**parameters))
        return answer

    def body(self, operation: str, **parameters: Any) -> bytes:
        """The body of an answer that streams one, whole; without patience, see `wait_for`.

        Raises:
            AwsError: as its subclasses say; `AwsUnreachable` also if the connection breaks on the way.
        """
        stream = self.attempt(operation, **parameters)["Body"]
        content: bytes = mapped(self.service, operation, stream.read)
        return content

    def wait_for(self, look: Callable[[], _Seen]) -> _Seen:
        """What `look` answers as soon as it raises no `Transient` error any more: for effects that show late.

        Raises:
            AwsError: the last one, when the patience is at its end.
        """
        return self._patiently()(look)

    def _patiently(self) -> Retrying:
        return patiently(min(self._until, self._clock.now() + self._patience), self._clock)

    def pages(
        self, operation: str, *, asked: str = "NextToken", told: str = "NextToken", **parameters: Any
    ) -> Iterator[Mapping[str, Any]]:
        """The answers of a listing, page after page, each page tried as patiently as one call.

        Args:
            operation: the listing.
            asked: the parameter with the token of a page.
            told: where an answer has the token of the next page.
            parameters: of every page.

        Raises:
            AwsBroken: a token came a second time, so that the listing would never end.
            AwsError: as its subclasses say.
        """
        seen: set[str] = set()
        token = ""
        while True:
            page = self.call(operation, **parameters, **({asked: token} if token else {}))
            yield page
            token = page.get(told) or ""
            if not token:
                return
            if token in seen:
                raise AwsBroken(f"{iam_action(self.service, operation)} answered the same page token twice")
            seen.add(token)
