"""Cloud Map's instances with the rules that moto leaves out.

Source: AWS Cloud Map API reference (RegisterInstance, DeregisterInstance, GetOperation, ListServices).
"""

import json
import re
from functools import partial
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.moto_server.werkzeug_app import BackendRequest
from moto.servicediscovery.exceptions import InstanceNotFound, InvalidInput
from moto.servicediscovery.responses import ServiceDiscoveryResponse

from spotwatch.simulate.strict_aws.world import World
from tests.strict_dns.world import Naming

_ID = re.compile(r"[0-9a-zA-Z_/:.@-]{1,64}")


class DuplicateRequest(JsonRESTError):
    """The same is on its way already."""

    def __init__(self, operation: str) -> None:
        super().__init__("DuplicateRequest", "The operation is already in progress")
        told = {"__type": "DuplicateRequest", "message": self.message, "DuplicateOperationId": operation}
        self.description = json.dumps(told)


class StrictCloudMap(ServiceDiscoveryResponse):
    """One request to Cloud Map. Where a method is not here, moto's holds."""

    def __init__(self, world: World, naming: Naming) -> None:
        super().__init__()
        self._world = world
        self._naming = naming

    def answer(self, request: BackendRequest) -> Any:
        """Status, headers and body; what is not found is answered with 404, not with 400."""
        self.setup_class(request)
        status, headers, body = self.call_action()
        return 404 if status == 400 and 'NotFound"' in str(body) else status, headers, body

    @property
    def _asked(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    def register_instance(self) -> str:
        """An instance of the same id is replaced; it is there when the operation is done."""
        asked = self._asked
        service = self.servicediscovery_backend.get_service(asked["ServiceId"])
        if not _ID.fullmatch(asked["InstanceId"]):
            raise InvalidInput("1 validation error detected: Value at 'instanceId' failed to satisfy constraint")
        for record in (service.dns_config or {}).get("DnsRecords", ()):
            needed = {"A": "AWS_INSTANCE_IPV4", "AAAA": "AWS_INSTANCE_IPV6", "SRV": "AWS_INSTANCE_PORT"}[record["Type"]]
            if needed not in asked["Attributes"]:
                raise InvalidInput(f"The {record['Type']} record needs the attribute {needed}")
        return self._begun(asked, "REGISTER_INSTANCE", partial(_register, service, asked))

    def deregister_instance(self) -> str:
        """It is there until the operation is done."""
        asked = self._asked
        service = self.servicediscovery_backend.get_service(asked["ServiceId"])
        if all(instance.instance_id != asked["InstanceId"] for instance in service.instances):
            raise InstanceNotFound(asked["InstanceId"])
        return self._begun(asked, "DEREGISTER_INSTANCE", partial(_remove, service, asked["InstanceId"]))

    def _begun(self, asked: dict[str, Any], kind: str, done: Any) -> str:
        key = (asked["ServiceId"], asked["InstanceId"])
        if key in self._naming.busy:
            raise DuplicateRequest(self._naming.busy[key])
        number = self.servicediscovery_backend._create_operation(kind, {"INSTANCE": asked["InstanceId"]})
        operation: Any = self.servicediscovery_backend.operations[number]
        operation.status = "SUBMITTED"
        self._naming.busy[key] = number
        self._world.schedule.after(self._naming.delays.operation, partial(self._end, operation, key, done))
        return json.dumps({"OperationId": number})

    def _end(self, operation: Any, key: tuple[str, str], done: Any) -> None:
        del self._naming.busy[key]
        operation.status = "FAIL" if self._naming.failing else "SUCCESS"
        if not self._naming.failing:
            done()

    def get_operation(self) -> str:
        """With the reason of a failure."""
        operation: Any = self.servicediscovery_backend.get_operation(self._asked["OperationId"])
        told = operation.to_json()
        if operation.status == "FAIL":
            told |= {"ErrorCode": "ACCESS_DENIED", "ErrorMessage": self._naming.failing}
        return json.dumps({"Operation": told})

    def list_services(self) -> str:
        """Of one namespace, in pages."""
        asked = self._asked
        wanted = {
            value for each in asked.get("Filters", ()) if each["Name"] == "NAMESPACE_ID" for value in each["Values"]
        }
        services = self.servicediscovery_backend.list_services()
        return self._page("Services", [each for each in services if not wanted or each.namespace_id in wanted])

    def list_namespaces(self) -> Any:
        """In pages."""
        return self._page("Namespaces", list(self.servicediscovery_backend.list_namespaces()))

    def list_instances(self) -> str:
        """In pages."""
        return self._page("Instances", self.servicediscovery_backend.list_instances(self._asked["ServiceId"]))

    def _page(self, name: str, found: list[Any]) -> str:
        asked = self._asked
        start, most = int(asked.get("NextToken") or 0), min(asked.get("MaxResults") or 100, self._world.page or 100)
        following = {"NextToken": str(start + most)} if len(found) > start + most else {}
        return json.dumps({name: [each.to_json() for each in found[start : start + most]], **following})


def _register(service: Any, asked: dict[str, Any]) -> None:
    from moto.servicediscovery.models import ServiceInstance

    _remove(service, asked["InstanceId"])
    service.instances.append(
        ServiceInstance(asked["ServiceId"], asked["InstanceId"], asked.get("CreatorRequestId", ""), asked["Attributes"])
    )


def _remove(service: Any, instance_id: str) -> None:
    service.instances[:] = [each for each in service.instances if each.instance_id != instance_id]
