"""The server: StrictAws, with three more services that are answered strictly."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from moto.moto_server.werkzeug_app import BackendRequest

from spotwatch.simulate.strict_aws import StrictAws
from spotwatch.simulate.strict_aws.requests import Call
from spotwatch.simulate.strict_aws.server import Response
from tests.strict_balancers.auto_scaling import StrictAutoScaling
from tests.strict_balancers.ecs import StrictEcs
from tests.strict_balancers.target_groups import StrictTargetGroups
from tests.strict_balancers.world import Balancing

_STRICT: Final[Mapping[str, Callable[..., Any]]] = {
    "elasticloadbalancing": StrictTargetGroups,
    "autoscaling": StrictAutoScaling,
    "ecs": StrictEcs,
}

_QUERY_CODES: Final = {"ThrottlingException": "Throttling", "AccessDeniedException": "AccessDenied"}
"""What services of the Query protocol say where those of the JSON protocol say something longer."""


class StrictBalancers(StrictAws):
    """`StrictAws`, whose `balancing` is what the further services remember."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.balancing = Balancing()

    def settle(self) -> None:
        """Carry out what is due, as a request would."""
        with self.world.lock:
            self.world.schedule.settle()

    def _answer(self, call: Call, environ: dict[str, Any], body: bytes) -> Response:
        strict = _STRICT.get(call.service)
        if strict is None:
            return super()._answer(call, environ, body)
        with self.world.lock:
            self.world.schedule.settle()
            status, headers, text = strict(self.world, self.balancing).answer(BackendRequest(environ))
            self.world.schedule.settle()
        return int(status), dict(headers), text.encode() if isinstance(text, str) else text

    def _serve(self, environ: dict[str, Any], start: Callable[..., object]) -> Iterable[bytes]:
        """A fault is told in the form of the service: `StrictAws` knows only EC2's and the JSON services'."""
        told: list[Any] = []
        chunks = list(super()._serve(environ, lambda status, headers: told.extend((status, headers))))
        if not told:
            return chunks
        status, headers = told
        named = {name.lower(): value for name, value in headers}
        code = named.get("x-amzn-query-error", "").partition(";")[0]
        if code and (
            "/elasticloadbalancing/" in (auth := str(environ.get("HTTP_AUTHORIZATION"))) or "/autoscaling/" in auth
        ):
            chunks = [_error(_QUERY_CODES.get(code, code)).encode()]
            headers = [("Content-Type", "text/xml"), ("Content-Length", str(len(chunks[0])))]
        start(status, headers)
        return chunks


def _error(code: str) -> str:
    return (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>made to go wrong</Message></Error>"
        "<RequestId>00000000-0000-0000-0000-000000000000</RequestId></ErrorResponse>"
    )
