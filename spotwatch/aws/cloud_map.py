"""Instances of a service in AWS Cloud Map, which keeps the records in Route 53 itself.

Cloud Map gives one IPv4 address to an instance of a service, so there is one for each address of ours, with the EC2
instance's id and the address as its id: whose it is stands in that.

What this survives:

- Instances of others: only ids that begin with ours are deregistered.
- A registration that is done twice: it replaces the first one.
- An operation that goes on already (`DuplicateRequest`): the same as if we had begun it.

Source: AWS Cloud Map API reference (RegisterInstance, DeregisterInstance, GetOperation, ListInstances).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from spotwatch.aws.session import Api
from spotwatch.core.errors import AwsConflict, AwsError, AwsNotFound, AwsRefused, AwsUnsettled
from spotwatch.core.name_record import RECORD_TYPES, NameChange, Registration, parents, record_type

_ATTRIBUTES: Final = {"A": "AWS_INSTANCE_IPV4", "AAAA": "AWS_INSTANCE_IPV6"}

PAGE: Final = 100
"""Entries of one answer: as many as Cloud Map gives."""


class CloudMap:
    """Implements `spotwatch.hooks.services.NameService`."""

    def __init__(self, servicediscovery: Api, *, service_id: str = "", port: int | None = None) -> None:
        """Nothing is asked yet.

        Args:
            servicediscovery: the API.
            service_id: such as `srv-…`; empty: the service of the name, which is SERVICE.NAMESPACE.
            port: where the application listens; None: not told, which a service with SRV records does not take.
        """
        self._api = servicediscovery
        self._service_id = service_id
        self._port = port

    def join(self, registration: Registration, *, dry_run: bool = False) -> NameChange:
        """Register each address; what the instance had there besides is deregistered.

        Raises:
            AwsError: as its subclasses say.
        """
        service, kinds = self._service(registration.name)
        there = {one["Id"]: one for one in self._ours(service, registration)}
        wanted = {
            _id(registration, address): address for address in registration.addresses if record_type(address) in kinds
        }
        new = [address for number, address in wanted.items() if not self._is_as_wanted(there.get(number), address)]
        stale = [number for number in there if number not in wanted]
        calls = [partial(self._register, service, registration, address) for address in new]
        calls += [partial(self._deregister, service, number) for number in stale]
        lacking = [address for address in registration.addresses if record_type(address) not in kinds]
        return NameChange(
            registration.name,
            put=tuple(new),
            expected=tuple(wanted.values()),
            remarks=tuple(
                f"{address} is left out: the service has no {record_type(address)} records" for address in lacking
            ),
            pending=() if dry_run else _begun(calls),
        )

    def leave(self, registration: Registration, *, dry_run: bool = False) -> NameChange:
        """Deregister every address of the instance.

        Raises:
            AwsError: as its subclasses say.
        """
        service, kinds = self._service(registration.name)
        ours = self._ours(service, registration)
        calls = [partial(self._deregister, service, one["Id"]) for one in ours]
        return NameChange(
            registration.name,
            taken=tuple(address for one in ours for address in _addresses(one)),
            ttl=max(kinds.values(), default=None) if ours else None,
            pending=() if dry_run else _begun(calls),
        )

    def wait(self, change: NameChange) -> None:
        """Until Cloud Map says that its operations have succeeded.

        Raises:
            AwsUnsettled: they go on.
            AwsRefused: one has failed.
            AwsError: as its subclasses say.
        """
        for number in change.pending:
            self._api.wait_for(partial(self._see_whether_done, number))

    def _see_whether_done(self, number: str) -> None:
        operation = self._api.attempt("GetOperation", OperationId=number)["Operation"]
        if operation["Status"] == "FAIL":
            said = f"{operation.get('ErrorCode', '')}: {operation.get('ErrorMessage', '')}".strip(": ")
            raise AwsRefused(f"Cloud Map could not do it: {said}", hint="see the service in Cloud Map")
        if operation["Status"] != "SUCCESS":
            raise AwsUnsettled(f"Cloud Map's operation {number} is {operation['Status'].lower()}")

    def _register(self, service: str, registration: Registration, address: str) -> str:
        told = self._api.call(
            "RegisterInstance",
            ServiceId=service,
            InstanceId=_id(registration, address),
            Attributes=self._attributes(address),
        )
        return str(told["OperationId"])

    def _attributes(self, address: str) -> dict[str, str]:
        port = {} if self._port is None else {"AWS_INSTANCE_PORT": str(self._port)}
        return {_ATTRIBUTES[record_type(address)]: address, **port}

    def _is_as_wanted(self, there: Mapping[str, Any] | None, address: str) -> bool:
        return there is not None and self._attributes(address).items() <= there["Attributes"].items()

    def _deregister(self, service: str, number: str) -> str:
        try:
            return str(self._api.call("DeregisterInstance", ServiceId=service, InstanceId=number)["OperationId"])
        except AwsError as error:
            if error.code != "InstanceNotFound":
                raise
            return ""

    def _ours(self, service: str, registration: Registration) -> Sequence[Mapping[str, Any]]:
        pages = self._api.pages("ListInstances", ServiceId=service, MaxResults=PAGE)
        everything = (one for page in pages for one in page["Instances"])
        return [one for one in everything if one["Id"].partition("/")[0] == registration.instance_id]

    def _service(self, name: str) -> tuple[str, Mapping[str, int]]:
        """The id of the service, and the TTL of each of its types of address records."""
        if self._service_id:
            return self._service_id, _kinds(self._api.call("GetService", Id=self._service_id)["Service"])
        namespace = self._namespace_of(name)
        wanted = name.removesuffix(f".{namespace['Name']}")
        filters = [{"Name": "NAMESPACE_ID", "Values": [namespace["Id"]], "Condition": "EQ"}]
        for page in self._api.pages("ListServices", Filters=filters, MaxResults=PAGE):
            for service in page["Services"]:
                if service["Name"].lower() == wanted:
                    return str(service["Id"]), _kinds(service)
        raise AwsNotFound(
            f"the namespace {namespace['Name']} has no service {wanted}", hint="correct --name, or name --service-id"
        )

    def _namespace_of(self, name: str) -> Mapping[str, Any]:
        candidates = parents(name)[1:]
        pages = self._api.pages("ListNamespaces", MaxResults=PAGE)
        found: list[Mapping[str, Any]] = [
            one for page in pages for one in page["Namespaces"] if one["Name"].lower() in candidates
        ]
        if not found:
            raise AwsNotFound(f"Cloud Map has no namespace for {name}", hint="correct --name, or name --service-id")
        longest = max(len(one["Name"]) for one in found)
        best = [one for one in found if len(one["Name"]) == longest]
        if len(best) > 1:
            raise AwsConflict(f"there are {len(best)} namespaces {best[0]['Name']}", hint="say which with --service-id")
        return best[0]


def _begun(calls: Iterable[Callable[[], str]]) -> tuple[str, ...]:
    """The operations that were begun, or that go on already."""
    return tuple(filter(None, map(_operation_of, calls)))


def _operation_of(call: Callable[[], str]) -> str:
    try:
        return call()
    except AwsError as error:
        number = _operation_in(error)
        if not number:
            raise
        return number


def _operation_in(error: AwsError) -> str:
    """The operation that stands in the way of ours and is the same as ours."""
    cause = error.__cause__
    told = getattr(cause, "response", {}) if error.code == "DuplicateRequest" else {}
    return str(told.get("DuplicateOperationId", ""))


def _id(registration: Registration, address: str) -> str:
    return f"{registration.instance_id}/{address}"


def _addresses(instance: Mapping[str, Any]) -> list[str]:
    return [instance["Attributes"][key] for key in _ATTRIBUTES.values() if key in instance["Attributes"]]


def _kinds(service: Mapping[str, Any]) -> Mapping[str, int]:
    """A service without DNS (API calls only) takes every address, and nobody remembers it."""
    records = service.get("DnsConfig", {}).get("DnsRecords", ())
    found = {record["Type"]: int(record["TTL"]) for record in records if record["Type"] in RECORD_TYPES}
    return found or dict.fromkeys(RECORD_TYPES, 0)
