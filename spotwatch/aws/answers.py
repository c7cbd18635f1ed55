"""Whether it is AWS that answers, looked at before botocore parses it.

botocore takes any XML document for an answer without members, and text that is no JSON likewise: the page of a proxy
would be an empty listing.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from botocore.model import OperationModel
from botocore.parsers import ResponseParserError

_REQUEST_IDS: Final = frozenset({"x-amz-request-id", "x-amzn-requestid"})


def check_answer(operation_model: OperationModel, response_dict: Mapping[str, Any], **_others: object) -> None:
    """Refuse what is no answer of AWS (a handler of botocore's event `before-parse`).

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
