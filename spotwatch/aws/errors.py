"""From what boto3 raises to what it means for us: the one mapper of its errors.

Foreign exceptions: whatever boto3, botocore, its parsers or urllib3 raise comes out as an `AwsError`.
"""

import re
from collections.abc import Callable
from typing import Final, TypeVar

from boto3.exceptions import Boto3Error
from botocore import exceptions as botocore_errors
from botocore.eventstream import ParserError
from botocore.parsers import ResponseParserError

from spotwatch.core.errors import (
    AwsBroken,
    AwsConflict,
    AwsDenied,
    AwsError,
    AwsGarbled,
    AwsNotFound,
    AwsRefused,
    AwsThrottled,
    AwsUnreachable,
)

Answer = TypeVar("Answer")

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


def mapped(service: str, operation: str, do: Callable[[], Answer]) -> Answer:
    """What `do` answers.

    Args:
        service: botocore's name of the service.
        operation: what is called, as AWS writes it; empty if nothing is yet.
        do: calls boto3 or botocore.

    Raises:
        AwsError: whatever it has raised (see `aws_error`).
    """
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

_CUT: Final = (
    botocore_errors.IncompleteReadError,
    botocore_errors.ChecksumError,
    botocore_errors.FlexibleChecksumError,
)

_BETWEEN: Final = "see what answers at the endpoint, and what is between it and this machine: a proxy, perhaps"

_NAMED_ACTION: Final = re.compile(r"perform:? ([a-z0-9-]+:[A-Za-z]+)")
"""The action in AWS's "User: … is not authorized to perform: ec2:DescribeVolumes on resource: …"."""

_LONGEST_TEXT: Final = 600
"""Characters; AWS's own messages are shorter, a proxy's page is not."""


def _shortened(error: Exception) -> str:
    """What an error says, which may be a whole page; on one line."""
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= _LONGEST_TEXT else f"{said[:_LONGEST_TEXT]} …"


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
    if isinstance(error, botocore_errors.BotoCoreError) and not isinstance(error, (*_CUT, ResponseParserError)):
        return _failed(error, called, iam_action(service, operation))
    if isinstance(error, _CUT):
        return AwsBroken(f"{called}: the answer came damaged: {_shortened(error)}", hint=_BETWEEN)
    if isinstance(error, ResponseParserError | ParserError) or operation:
        return AwsGarbled(f"{called}: the answer makes no sense: {_shortened(error)}", hint=_BETWEEN)
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
