"""The server: StrictAws, with Route 53 and Cloud Map answered strictly."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from moto.moto_server.werkzeug_app import BackendRequest

from spotwatch.simulate.strict_aws import StrictAws
from spotwatch.simulate.strict_aws.requests import Call
from spotwatch.simulate.strict_aws.server import Response
from tests.strict_dns.cloud_map import StrictCloudMap
from tests.strict_dns.route53 import StrictRoute53
from tests.strict_dns.world import Naming

_STRICT: Final[Mapping[str, Callable[..., Any]]] = {"route53": StrictRoute53, "servicediscovery": StrictCloudMap}

_XML_CODES: Final = {"ThrottlingException": "Throttling", "AccessDeniedException": "AccessDenied"}
"""What Route 53 says where services of the JSON protocol say something longer."""


class StrictDns(StrictAws):
    """`StrictAws`, whose `naming` is what the further services remember."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.naming = Naming()

    def _answer(self, call: Call, environ: dict[str, Any], body: bytes) -> Response:
        strict = _STRICT.get(call.service)
        if strict is None:
            return super()._answer(call, environ, body)
        with self.world.lock:
            self.world.schedule.settle()
            status, headers, text = strict(self.world, self.naming).answer(BackendRequest(environ))
            self.world.schedule.settle()
        return int(status), dict(headers), text.encode() if isinstance(text, str) else text

    def _serve(self, environ: dict[str, Any], start: Callable[..., object]) -> Iterable[bytes]:
        """A fault is told in the form of the service: `StrictAws` knows only EC2's and the JSON services'."""
        told: list[Any] = []
        chunks = list(super()._serve(environ, lambda status, headers: told.extend((status, headers))))
        if not told:
            return chunks
        status, headers = told
        code = dict(headers).get("x-amzn-query-error", "").partition(";")[0]
        if code and "/route53/" in str(environ.get("HTTP_AUTHORIZATION")):
            chunks = [_error(_XML_CODES.get(code, code)).encode()]
            headers = [("Content-Type", "text/xml"), ("Content-Length", str(len(chunks[0])))]
        start(status, headers)
        return chunks


def _error(code: str) -> str:
    return (
        '<?xml version="1.0"?><ErrorResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><Error>'
        f"<Type>Sender</Type><Code>{code}</Code><Message>made to go wrong</Message></Error>"
        "<RequestId>00000000-0000-0000-0000-000000000000</RequestId></ErrorResponse>"
    )
