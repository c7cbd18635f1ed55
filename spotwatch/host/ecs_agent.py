"""The ECS agent of this machine, asked at its introspection endpoint.

Source: ECS developer guide, "Amazon ECS container introspection".

What this survives: an agent that is being started, that has not registered itself yet, that answers nothing, or
something else that listens at its port.
"""

import json
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any, Final

from spotwatch.core.container_instance import ContainerInstance
from spotwatch.core.errors import EcsAgentUnavailable

MOST_BYTES: Final = 65536
"""The answer has three values."""

_HINT: Final = "see 'systemctl status ecs', or name --cluster and --container-instance"


class EcsAgent:
    """Implements `spotwatch.hooks.services.EcsAgent`."""

    def container_instance(self, url: str, seconds: float) -> ContainerInstance:
        """What the agent says of itself; no proxy is asked.

        Raises:
            EcsAgentUnavailable: it does not answer, or has not registered itself.
        """
        try:
            told = _ask(url, seconds)
        except urllib.error.HTTPError as error:
            error.close()
            raise EcsAgentUnavailable(f"the ECS agent does not answer at {url}: {error.reason}", hint=_HINT) from None
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise EcsAgentUnavailable(f"the ECS agent does not answer at {url}: {reason}", hint=_HINT) from None
        known = told if isinstance(told, dict) else {}
        cluster, arn = known.get("Cluster"), known.get("ContainerInstanceArn")
        if not (isinstance(cluster, str) and isinstance(arn, str) and cluster and arn):
            raise EcsAgentUnavailable(f"the ECS agent at {url} has not registered this instance", hint=_HINT)
        return ContainerInstance(cluster, arn)


def _ask(url: str, seconds: float) -> Any:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=seconds) as response:
        return json.loads(response.read(MOST_BYTES))
