"""How spotwatch speaks to AWS: one owner of patience, one mapper of errors.

What this survives:

- botocore's own retries and its limits of a minute, which outlast an instance: they are off, and each attempt may take
  seconds only.
- Retries that add up: all attempts of a piece of work share one absolute deadline, and none is begun after it.
- A server that answers something else than AWS (a proxy's page, half a document): `AwsBroken`, and tried again.
- Foreign exceptions: whatever boto3, botocore or urllib3 raises comes out as an `AwsError`.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol, TypeVar

import boto3
from botocore import exceptions as botocore_errors
from botocore.client import BaseClient
from botocore.config import Config
from botocore.parsers import ResponseParserError
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

from spotwatch.core.errors import (
    AwsBroken,
    AwsConflict,
    AwsDenied,
    AwsError,
    AwsNotFound,
    AwsRefused,
    AwsThrottled,
    AwsUnreachable,
    Transient,
)

CONNECT_TIMEOUT: Final = 3.0
"""Seconds; within a region a connection takes milliseconds, and one lost packet is sent again after one second."""

READ_TIMEOUT: Final = 20.0
"""Seconds between two bytes of an answer; the slowest calls that spotwatch makes answer in a few."""

FIRST_WAIT: Final = 0.5
"""Seconds; the upper bound of the random wait after the first failure, doubled after each further one."""

LONGEST_WAIT: Final = 15.0
"""Seconds; AWS's token buckets refill within this."""

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

    Args:
        until: when the last attempt may begin, in seconds on `clock`. One attempt is made in any case.
        clock: measures the time and passes it.
    """

    def is_over(state: RetryCallState) -> bool:
        return clock.now() + state.upcoming_sleep >= until

    return Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, Transient)),
        wait=wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT),
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
        self._clock = clock
        self._until = until
        self._patience = patience
        self._boto = _mapped("configuration", "", lambda: boto3.session.Session(region_name=region))
        self._config = Config(
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=read_timeout,
            retries={"total_max_attempts": 1},
            user_agent_extra="spotwatch",
        )

    @property
    def region(self) -> str:
        """The region of all calls; empty if none is configured."""
        return self._boto.region_name or ""

    def api(self, service: str, *, region: str | None = None, endpoint: str | None = None) -> "Api":
        """One service's API, by botocore's name for it (`ec2`, `s3`, …).

        Args:
            service: which.
            region: stronger than the session's.
            endpoint: the URL that it is asked at; stronger than what the environment says.

        Raises:
            AwsRefused: no region, or something else of the configuration is missing or wrong.
        """
        client = _mapped(
            service,
            "",
            lambda: self._boto.client(
                service, config=self._config, region_name=region or self.region or None, endpoint_url=endpoint
            ),
        )
        return Api(service, client, self._clock, self._until, self._patience)


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

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """One call, by the operation's name as AWS writes it (`DescribeVolumes`), with AWS's parameter names.

        Tried again after `Transient` errors: give a `ClientToken` to what must not happen twice.

        Raises:
            AwsError: as its subclasses say.
        """
        return self._patiently()(self.attempt, operation, **parameters)

    def attempt(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """The same without patience."""
        method = self.client.meta.method_to_api_mapping
        name = next(python for python, api in method.items() if api == operation)
        answer: dict[str, Any] = _mapped(self.service, operation, lambda: getattr(self.client, name)(**parameters))
        if _is_web_page(answer):
            raise AwsBroken(f"{self.service}:{operation}: a web page answers", hint="see what answers at the endpoint")
        return answer

    def body(self, operation: str, **parameters: Any) -> bytes:
        """The body of an answer that streams one, whole; without patience, see `wait_for`.

        Raises:
            AwsError: as its subclasses say; `AwsUnreachable` also if the connection breaks on the way.
        """
        stream = self.attempt(operation, **parameters)["Body"]
        content: bytes = _mapped(self.service, operation, stream.read)
        return content

    def wait_for(self, look: Callable[[], _Seen]) -> _Seen:
        """What `look` answers as soon as it raises no `Transient` error any more: for effects that show late.

        Raises:
            AwsError: the last one, when the patience is at its end.
        """
        return self._patiently()(look)

    def _patiently(self) -> Retrying:
        return patiently(min(self._until, self._clock.now() + self._patience), self._clock)

    def pages(self, operation: str, **parameters: Any) -> Iterator[Mapping[str, Any]]:
        """The answers of a listing, page after page by `NextToken`, each page tried as patiently as one call.

        A service that never stops handing out the same token is broken.

        Raises:
            AwsError: as its subclasses say.
        """
        token = ""
        while True:
            page = self.call(operation, **parameters, **({"NextToken": token} if token else {}))
            yield page
            following = page.get("NextToken") or ""
            if not following:
                return
            if following == token:
                raise AwsBroken(f"{self.service}:{operation} answered the same page token twice")
            token = following


def _mapped(service: str, operation: str, do: Any) -> Any:
    try:
        return do()
    except (botocore_errors.ClientError, botocore_errors.BotoCoreError, ResponseParserError) as error:
        raise aws_error(error, service, operation) from error


def _is_web_page(answer: Mapping[str, Any]) -> bool:
    """Whether a proxy has answered in AWS's place, which botocore takes for an answer that says nothing."""
    told = answer.get("ResponseMetadata", {})
    return "RequestId" not in told and str(told.get("HTTPHeaders", {}).get("content-type", "")).startswith("text/html")


_THROTTLED: Final = frozenset(
    {
        "BandwidthLimitExceeded", "EC2ThrottledException", "LimitExceededException", "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException", "RequestLimitExceeded", "RequestThrottled",
        "RequestThrottledException", "SlowDown", "ThrottledException", "Throttling", "ThrottlingException",
        "TooManyRequestsException", "TransactionInProgressException",
    }
)  # fmt: skip
"""Codes that ask for patience (botocore's `retries/standard.py` has the same list)."""

_DENIED: Final = frozenset(
    {
        "AccessDenied", "AccessDeniedException", "AllAccessDisabled", "AuthFailure", "AuthorizationError",
        "ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidClientTokenId",
        "MissingAuthenticationToken", "OptInRequired", "RequestExpired", "SignatureDoesNotMatch",
        "UnauthorizedAccess", "UnauthorizedOperation", "UnrecognizedClientException",
    }
)  # fmt: skip

_CONFLICT: Final = frozenset(
    {
        "ConditionalCheckFailedException", "ConditionalRequestConflict", "DependencyViolation",
        "IncorrectInstanceState", "IncorrectState", "IncorrectStateException", "InvalidNetworkInterface.InUse",
        "OperationAborted", "PreconditionFailed", "ResourceContention", "ResourceInUse", "ResourceInUseException",
        "ScalingActivityInProgress", "VolumeInUse",
    }
)  # fmt: skip

_CREDENTIALS: Final = (
    botocore_errors.NoCredentialsError,
    botocore_errors.PartialCredentialsError,
    botocore_errors.CredentialRetrievalError,
    botocore_errors.TokenRetrievalError,
    botocore_errors.SSOError,
    botocore_errors.ProfileNotFound,
)


def aws_error(error: Exception, service: str, operation: str) -> AwsError:
    """What an exception of botocore's means for us: whether trying again makes sense, and what to do.

    Args:
        error: a `ClientError` (AWS has answered), or any other of botocore's.
        service: botocore's name of the service.
        operation: what was called, as AWS writes it; empty if nothing was yet.
    """
    action = f"{service}:{operation}" if operation else service
    if isinstance(error, botocore_errors.ClientError):
        return _answered(error, action)
    if isinstance(error, _CREDENTIALS):
        return AwsDenied(
            f"{action}: {error}",
            hint="give the instance a role, or set AWS_PROFILE or AWS_ACCESS_KEY_ID and its secret",
        )
    if isinstance(error, botocore_errors.NoRegionError):
        return AwsRefused(f"{action}: no region is configured", hint="set AWS_REGION")
    if isinstance(error, botocore_errors.HTTPClientError | botocore_errors.EndpointConnectionError):
        return AwsUnreachable(f"{action}: {error}", hint="see whether the endpoint can be reached from here")
    if isinstance(error, ResponseParserError | botocore_errors.IncompleteReadError):
        return AwsBroken(f"{action}: the answer makes no sense: {error}", hint="see what answers at the endpoint")
    return AwsRefused(f"{action}: {error}", hint="see the AWS configuration of this machine")


def _answered(error: botocore_errors.ClientError, action: str) -> AwsError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    message = f"{action}: {code}: {error.response.get('Error', {}).get('Message', '')}".rstrip(": ")
    if code in _THROTTLED or status == 429:
        return AwsThrottled(message, code=code, hint="AWS limits the rate of calls; try again later")
    if code in _DENIED or status in (401, 403):
        return AwsDenied(message, code=code, hint=f"allow the IAM action {action}")
    if code in _CONFLICT or status in (409, 412):
        return AwsConflict(message, code=code)
    if code.endswith((".NotFound", "NotFoundException")) or code.startswith("NoSuch") or status == 404:
        return AwsNotFound(message, code=code)
    if status >= 500 or not code:
        return AwsBroken(message, code=code, hint="see what answers at the endpoint; AWS may have trouble")
    return AwsRefused(message, code=code)
