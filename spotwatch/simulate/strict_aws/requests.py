"""What a request to AWS asks for: service, operation, parameters."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from moto.core.routing import get_service_router
from moto.moto_server.werkzeug_app import BackendRequest
from werkzeug.exceptions import NotFound

_ENDPOINT_NAMES: Final = {"monitoring": "cloudwatch"}
"""Services whose requests are signed under another name than botocore knows them by."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it arrived.

    Attributes:
        service: botocore's name for it.
        operation: AWS's name; empty if it is none that is known.
        parameters: of EC2 as the Query API writes them (`Filter.1.Name`); of S3 bucket, key, query and `x-amz-*`
            headers; of the others the JSON document, or nothing.
    """

    service: str
    operation: str
    parameters: Mapping[str, Any]

    @property
    def name(self) -> str:
        """As an IAM policy names it, nearly: S3's are the operations'."""
        return f"{self.service}:{self.operation}"


def service_of(environ: Mapping[str, Any]) -> str:
    """The service (botocore's name) that a request is signed for; S3 if it is not signed."""
    scope = str(environ.get("HTTP_AUTHORIZATION", "")).partition("Credential=")[2].split(",")[0].split("/")
    return _ENDPOINT_NAMES.get(scope[3], scope[3]) if len(scope) > 3 else "s3"


def read_call(environ: Mapping[str, Any], body: bytes) -> Call:
    """What a request asks for. The body is not looked at for S3, and may still be on its way."""
    service = service_of(environ)
    if service == "s3":
        return _s3(environ)
    if service == "route53":
        return Call(service, _operation_of_path(service, BackendRequest(dict(environ))), {})
    target = str(environ.get("HTTP_X_AMZ_TARGET", ""))
    if target:
        return Call(service, target.rpartition(".")[2], _json(body))
    if "/operation/" in environ["PATH_INFO"]:
        return Call(service, environ["PATH_INFO"].rpartition("/")[2], {})
    parameters = dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
    return Call(service, parameters.pop("Action", ""), parameters)


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(body or b"{}")
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _s3(environ: Mapping[str, Any]) -> Call:
    request = BackendRequest(dict(environ))
    bucket, _, key = request.path.lstrip("/").partition("/")
    headers = {name.lower(): value for name, value in request.headers.items()}
    told = {name: value for name, value in headers.items() if name.startswith(("x-amz-", "if-"))}
    parameters = {"Bucket": bucket, "Key": key, **request.args.to_dict(), **told}
    return Call("s3", _operation_of_path("s3", request), parameters)


def _operation_of_path(service: str, request: BackendRequest) -> str:
    """What a REST service is asked for by method and path; empty if nothing is known there."""
    try:
        return str(get_service_router(service).match(request)[0].name)
    except (NotFound, NotImplementedError):
        return ""
