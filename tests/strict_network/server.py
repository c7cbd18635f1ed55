"""The server: StrictAws, whose EC2 is strict about network interfaces, too."""

from typing import Any

from moto.moto_server.werkzeug_app import BackendRequest

from spotwatch.simulate.strict_aws import StrictAws
from spotwatch.simulate.strict_aws.requests import Call
from spotwatch.simulate.strict_aws.server import Response
from tests.strict_network.ec2 import StrictNetworkEc2
from tests.strict_network.world import NetworkWorld


class StrictNetworkAws(StrictAws):
    """`StrictAws`, whose `network` is what it remembers of interfaces."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.network = NetworkWorld()

    def _answer(self, call: Call, environ: dict[str, Any], body: bytes) -> Response:
        if call.service != "ec2":
            return super()._answer(call, environ, body)
        status, headers, text = StrictNetworkEc2(self.world, self.network).answer(BackendRequest(environ))
        return status, headers, text.encode() if isinstance(text, str) else text
