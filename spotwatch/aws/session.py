"""How spotwatch speaks to AWS: one owner of patience, one mapper of errors.

What this survives:

- botocore's own retries and its limits of a minute, which outlast an instance: they are off, and each attempt may take
  seconds only.
- Retries that add up: all attempts of a piece of work share one absolute deadline, and none is begun after it.
- A server that answers something else than AWS (a proxy's page, half a document): `AwsBroken`, and tried again.
  botocore takes some of these for empty listings, so each answer is looked at before it is parsed.
- Foreign exceptions: whatever boto3, botocore, its parsers or urllib3 raise comes out as an `AwsError`.
"""

import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol, TypeVar

import boto3
from boto3.exceptions import Boto3Error
from botocore import exceptions as botocore_errors
from botocore import xform_name
from botocore.client import BaseClient
from botocore.config import Config
from botocore.eventstream import ParserError
from botocore.model import OperationModel
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

Answer = TypeVar("Answer")

CONNECT_TIMEOUT: Final = 3.0
"""Seconds; within a region a connection takes milliseconds, and one lost packet is sent again after one second."""

READ_TIMEOUT: Final = 20.0
"""Seconds between two bytes of an answer; the slowest calls that spotwatch makes answer in a few."""

FIRST_WAIT: Final = 0.5
"""Seconds; the upper bound of the random wait after the first failure, doubled after each further one."""

LONGEST_WAIT: Final = 15.0
"""Seconds; AWS's token buckets refill within this."""

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
        return clock.now() + state.upcoming_sleep >= until

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
        self._boto: boto3.session.Session = _mapped(
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
        return _mapped("credentials", "", self._account_or_key)

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
        client = _mapped(
            service,
            "",
            lambda: self._boto.client(
                service, config=self._config, region_name=region or self.region or None, endpoint_url=endpoint
            ),
        )
        client.meta.events.register("before-parse", _check_answer)
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
        answer: dict[str, Any] = _mapped(self.service, operation, lambda: method(**parameters))
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


_REQUEST_IDS: Final = frozenset({"x-amz-request-id", "x-amzn-requestid"})


def _check_answer(operation_model: OperationModel, response_dict: Mapping[str, Any], **_others: object) -> None:
    """Refuse what is no answer of AWS, before botocore parses it (its event `before-parse`).

    botocore reads any XML document as an answer without members, and text that is no JSON likewise.

    Raises:
        ResponseParserError: the body is not what the operation answers with.
    """
    if response_dict["status_code"] >= 300:
        return
    shape = operation_model.output_shape
    service, body = operation_model.service_model, response_dict["body"]
    protocol = getattr(service, "resolved_protocol", service.metadata["protocol"])  # older versions: the latter only
    if protocol in ("ec2", "query"):
        _check_root(body, f"{operation_model.name}Response")
    elif protocol == "rest-xml":
        _check_request_id(response_dict["headers"])
    elif protocol == "json" and shape is not None and shape.members and body:
        _check_object(body)


def _check_request_id(headers: Mapping[str, str]) -> None:
    """S3 numbers every answer, whatever its body is; a web page without a number comes from something between."""
    is_page = str(headers.get("content-type", "")).startswith("text/html")
    if is_page and not any(name.lower() in _REQUEST_IDS for name in headers):
        raise ResponseParserError("a web page answers")


def _check_root(body: bytes, name: str) -> None:
    if not re.match(rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?<(\w+:)?%b[\s/>]" % name.encode(), body):
        raise ResponseParserError(f"the body is no {name} but begins with {_beginning(body)}")


def _check_object(body: bytes) -> None:
    try:
        document = json.loads(body)
    except ValueError as error:
        raise ResponseParserError(f"the body is no JSON ({error}) but begins with {_beginning(body)}") from error
    if not isinstance(document, dict):
        raise ResponseParserError(f"the body is no JSON object but begins with {_beginning(body)}")


def _beginning(body: bytes) -> str:
    return repr(body[:60].decode(errors="replace"))


_FOREIGN: Final = (
    botocore_errors.ClientError,
    botocore_errors.BotoCoreError,
    botocore_errors.UndefinedModelAttributeError,
    Boto3Error,
    ResponseParserError,
    ParserError,
    # What botocore's parsers raise, unwrapped, for a number that is none, a member that is missing, a list in place of
    # an object and a document that is nested too deep; and botocore itself for an endpoint that is no URL.
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
)
"""Everything that a call of boto3's is known to raise."""


def _mapped(service: str, operation: str, do: Callable[[], Answer]) -> Answer:
    try:
        return do()
    except _FOREIGN as error:
        raise aws_error(error, service, operation) from error


_IAM_PREFIXES: Final = {
    "elb": "elasticloadbalancing",
    "elbv2": "elasticloadbalancing",
    "service-quotas": "servicequotas",
}
"""The services whose IAM actions do not begin with botocore's name (Service Authorization Reference)."""

_S3_ACTIONS: Final = {
    "CompleteMultipartUpload": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListBuckets": "ListAllMyBuckets",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListParts": "ListMultipartUploadParts",
    "UploadPart": "PutObject",
}
"""The operations of S3 whose IAM action has another name (Amazon S3 User Guide, "Required permissions")."""


def iam_action(service: str, operation: str) -> str:
    """The IAM action that allows a call: `elasticloadbalancing:DeregisterTargets` for `elbv2`.

    Args:
        service: botocore's name of the service.
        operation: as AWS writes it; empty for the whole service.
    """
    prefix = _IAM_PREFIXES.get(service, service)
    action = _S3_ACTIONS.get(operation, operation) if service == "s3" else operation
    return f"{prefix}:{action}" if action else prefix


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
        "AccessDenied", "AccessDeniedException", "AllAccessDisabled", "AuthorizationError", "NotAuthorized",
        "UnauthorizedAccess", "UnauthorizedException", "UnauthorizedOperation",
    }
)  # fmt: skip
"""Codes that refuse what is asked for."""

_CONFLICT: Final = frozenset(
    {
        "ConditionalCheckFailedException", "ConditionalRequestConflict", "DependencyViolation",
        "IncorrectInstanceState", "IncorrectState", "IncorrectStateException", "InvalidNetworkInterface.InUse",
        "OperationAborted", "PreconditionFailed", "ResourceContention", "ResourceInUse", "ResourceInUseException",
        "ScalingActivityInProgress", "VolumeInUse",
    }
)  # fmt: skip

_INVALID_CREDENTIALS: Final = frozenset(
    {
        "AuthFailure", "ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidClientTokenId",
        "InvalidSignatureException", "MissingAuthenticationToken", "MissingAuthenticationTokenException",
        "OptInRequired", "RequestExpired", "RequestTimeTooSkewed", "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)  # fmt: skip
"""Codes that refuse who asks, not what is asked for."""

_CREDENTIALS: Final = (
    botocore_errors.NoCredentialsError,
    botocore_errors.NoAuthTokenError,
    botocore_errors.PartialCredentialsError,
    botocore_errors.CredentialRetrievalError,
    botocore_errors.MetadataRetrievalError,
    botocore_errors.RefreshWithMFAUnsupportedError,
    botocore_errors.TokenRetrievalError,
    botocore_errors.UnknownTokenProviderError,
    botocore_errors.UnknownCredentialError,
    botocore_errors.SSOError,
    botocore_errors.ProfileNotFound,
    *((botocore_errors.LoginError,) if hasattr(botocore_errors, "LoginError") else ()),  # older versions have none
)

_REGION: Final = (
    botocore_errors.NoRegionError,
    botocore_errors.InvalidRegionError,
    botocore_errors.UnknownRegionError,
    botocore_errors.ServiceNotInRegionError,
)

_DAMAGED: Final = (
    ResponseParserError,
    ParserError,
    botocore_errors.IncompleteReadError,
    botocore_errors.ChecksumError,
    botocore_errors.FlexibleChecksumError,
)

_NAMED_ACTION: Final = re.compile(r"perform:? ([a-z0-9-]+:[A-Za-z]+)")
"""The action in AWS's "User: … is not authorized to perform: ec2:DescribeVolumes on resource: …"."""

_LONGEST_TEXT: Final = 600
"""Characters; AWS's own messages are shorter, a proxy's page is not."""

_EXPLICIT_DENY: Final = re.compile(r"explicit deny in an? ([a-z -]+?)(?: policy)?(?=[:.]|$)")


def aws_error(error: Exception, service: str, operation: str) -> AwsError:
    """What an exception of boto3's means for us: whether trying again makes sense, and what to do.

    Args:
        error: a `ClientError` (AWS has answered), any other of botocore's, or what its parsers stumble over.
        service: botocore's name of the service.
        operation: what was called, as AWS writes it; empty if nothing was yet.
    """
    called = f"{service}:{operation}" if operation else service
    if isinstance(error, botocore_errors.ClientError):
        return _answered(error, service, operation)
    if isinstance(error, botocore_errors.BotoCoreError) and not isinstance(error, _DAMAGED):
        return _failed(error, called, iam_action(service, operation))
    if isinstance(error, _DAMAGED) or operation:
        said = str(error) or type(error).__name__
        return AwsBroken(f"{called}: the answer makes no sense: {said}", hint="see what answers at the endpoint")
    return AwsRefused(f"{called}: {error}", hint="see the AWS configuration of this machine")


def _failed(error: botocore_errors.BotoCoreError, called: str, action: str) -> AwsError:
    """A call that AWS has not answered."""
    if isinstance(error, _CREDENTIALS):
        needed = f"; they have to allow the IAM action {action}" if ":" in action else ""
        return AwsDenied(
            f"{called}: {error}",
            hint=f"give the instance a role, or set AWS_PROFILE or AWS_ACCESS_KEY_ID and its secret{needed}",
        )
    if isinstance(error, _REGION):
        return AwsRefused(f"{called}: {error}", hint="set AWS_REGION to a region that has the service")
    if isinstance(error, botocore_errors.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return AwsRefused(f"{called}: {error}", hint="see AWS_CA_BUNDLE, the proxy, and the clock of this machine")
    if isinstance(error, botocore_errors.HTTPClientError | botocore_errors.ConnectionError):
        return AwsUnreachable(f"{called}: {error}", hint="see whether the endpoint can be reached from here")
    if isinstance(error, botocore_errors.CapacityNotAvailableError):
        return AwsThrottled(f"{called}: {error}", hint="AWS limits the rate of calls; try again later")
    return AwsRefused(f"{called}: {error}", hint="see the AWS configuration of this machine")


def _answered(error: botocore_errors.ClientError, service: str, operation: str) -> AwsError:
    # Credentials may have to be asked for by a call of their own (AssumeRole), which then is the one that was refused.
    asked = error.operation_name or operation
    if asked != operation and asked.startswith("AssumeRole"):
        service, operation = "sts", asked
    said = error.response.get("Error", {})
    code, text = str(said.get("Code") or ""), " ".join(str(said.get("Message") or "").split())[:_LONGEST_TEXT]
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    called = f"{service}:{operation}" if operation else service
    message = f"{called}: {code}: {text}".rstrip(": ")
    if code in _THROTTLED or status == 429:
        return AwsThrottled(message, code=code, hint="AWS limits the rate of calls; try again later")
    if code in _INVALID_CREDENTIALS or code in _DENIED or status in (401, 403):
        return AwsDenied(message, code=code, hint=_denial(code, text, iam_action(service, operation)))
    if code in _CONFLICT or status in (409, 412):
        return AwsConflict(message, code=code)
    if code.endswith((".NotFound", "NotFoundException")) or code.startswith("NoSuch") or status == 404:
        return AwsNotFound(message, code=code)
    if status >= 500 or not code:
        return AwsBroken(message, code=code, hint="see what answers at the endpoint; AWS may have trouble")
    return AwsRefused(message, code=code)


def _denial(code: str, text: str, action: str) -> str:
    named = _NAMED_ACTION.search(text)
    action = named[1] if named else action
    if code in _INVALID_CREDENTIALS:
        return (
            "renew the credentials, and see the clock of this machine and that the account has the region switched on; "
            f"they have to allow the IAM action {action}"
        )
    denied = _EXPLICIT_DENY.search(text)
    if denied:
        return f"an explicit deny in a {denied[1]} policy forbids the IAM action {action}: take it out there"
    return f"allow the IAM action {action}"
