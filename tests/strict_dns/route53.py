"""Route 53's record sets with the rules that moto leaves out.

Sources: Route 53 API reference (ChangeResourceRecordSets, ResourceRecordSet, GetChange, ListResourceRecordSets),
developer guide ("Quotas": 1,000 ResourceRecord elements in a request, those of an UPSERT counted twice).
"""

import copy
from functools import partial
from itertools import count
from typing import Any, Final

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.moto_server.werkzeug_app import BackendRequest
from moto.route53.exceptions import Route53ClientError
from moto.route53.models import RecordSet
from moto.route53.responses import Route53

from spotwatch.simulate.strict_aws.world import World
from tests.strict_dns.world import Naming

MOST_RECORDS: Final = 1000
HEAVIEST: Final = 255

_numbers = count(1)

Wanted = dict[str, Any]


class StrictRoute53(Route53):
    """One request to Route 53. Where a method is not here, moto's holds."""

    def __init__(self, world: World, naming: Naming) -> None:
        super().__init__()
        self._world = world
        self._naming = naming

    def answer(self, request: BackendRequest) -> Any:
        """Status, headers and body."""
        self.setup_class(request)
        return self.call_action()

    def change_resource_record_sets(self) -> ActionResult:
        """All changes or none; a DELETE names every value."""
        self._naming.take_before_change()()
        if self._naming.prior:
            self._naming.prior -= 1
            raise Route53ClientError(
                "PriorRequestNotComplete",
                "The request was rejected because Route 53 was still processing a prior request.",
            )
        zone = self.backend.get_hosted_zone(self._get_param("HostedZoneId"))
        records = {_key(record): record for record in zone.rrsets}
        changes = self._get_param("ChangeBatch.Changes")
        _refuse_too_many(changes)
        for change in changes:
            _apply(records, change["Action"], _record(change["ResourceRecordSet"]), zone.name)
        _refuse_mixtures(records)
        zone.rrsets = list(records.values())
        return ActionResult({"ChangeInfo": self._pending()})

    def _pending(self) -> dict[str, Any]:
        number = f"C{next(_numbers):013}"
        self._naming.changes[number] = "PENDING"
        in_sync = partial(self._naming.changes.__setitem__, number, "INSYNC")
        self._world.schedule.after(self._naming.delays.in_sync, in_sync)
        return {"Id": f"/change/{number}", "Status": "PENDING", "SubmittedAt": utcnow()}

    def get_change(self) -> ActionResult:
        """PENDING for a while."""
        number = self._get_param("Id").removeprefix("/change/")
        if number not in self._naming.changes:
            raise Route53ClientError("NoSuchChange", f"A change with id {number} does not exist")
        info = {"Id": f"/change/{number}", "Status": self._naming.changes[number], "SubmittedAt": utcnow()}
        return ActionResult({"ChangeInfo": info})

    def list_resource_record_sets(self) -> ActionResult:
        """In pages, ordered by name, type and identifier."""
        zone = self.backend.get_hosted_zone(self._get_param("HostedZoneId"))
        start = tuple(self._get_param(f"StartRecord{part}") or "" for part in ("Name", "Type", "Identifier"))
        first = _place(_dotted(start[0]), *start[1:]) if start[0] else ("", "", "")
        rest = sorted((r for r in zone.rrsets if _order(r) >= first), key=_order)
        most = min(self._get_int_param("MaxItems", 300), self._world.page or 300)
        following = rest[most] if len(rest) > most else None
        told: dict[str, Any] = {
            "ResourceRecordSets": [_shown(record) for record in rest[:most]],
            "IsTruncated": following is not None,
            "MaxItems": most,
        }
        if following is not None:
            told |= {"NextRecordName": following.name, "NextRecordType": following.type}
            told |= {"NextRecordIdentifier": following.set_identifier} if following.set_identifier else {}
        return ActionResult(told)

    def list_hosted_zones_by_name(self) -> ActionResult:
        """Those from a name on, not only those of the name."""
        asked = self._get_param("DNSName")
        first = _reversed(_dotted(asked)) if asked else ""
        zones = sorted(self.backend.zones.values(), key=lambda zone: (_reversed(zone.name), zone.id))
        found = [zone for zone in zones if _reversed(zone.name) >= first]
        return ActionResult({"DNSName": asked, "HostedZones": found, "IsTruncated": False, "MaxItems": 100})


def _refuse_too_many(changes: list[Any]) -> None:
    def weight(change: Any) -> int:
        records = len(change["ResourceRecordSet"].get("ResourceRecords") or ())
        return 2 * records if change["Action"] == "UPSERT" else records

    if sum(map(weight, changes)) > MOST_RECORDS:
        raise _invalid(f"Number of records limit of {MOST_RECORDS} exceeded.")


def _record(wanted: Wanted) -> RecordSet:
    wanted = copy.deepcopy(wanted)
    wanted["Name"] = _dotted(wanted["Name"])
    wanted["ResourceRecords"] = [each["Value"] for each in wanted.get("ResourceRecords") or ()]
    return RecordSet(wanted)  # type: ignore[abstract]  # moto itself does so


def _apply(records: dict[Any, RecordSet], action: str, record: RecordSet, zone: str) -> None:
    named = f"resource record set [name='{record.name}', type='{record.type}'" + (
        f", set-identifier='{record.set_identifier}']" if record.set_identifier else "]"
    )
    old = records.get(_key(record))
    _refuse_bad(record, zone)
    if action == "CREATE" and old is not None:
        raise _invalid(f"Tried to create {named} but it already exists")
    if action == "DELETE":
        if old is None:
            raise _invalid(f"Tried to delete {named} but it was not found")
        if _values(old) != _values(record):
            raise _invalid(f"Tried to delete {named} but the values provided do not match the current values")
        del records[_key(record)]
    else:
        records[_key(record)] = record


def _refuse_bad(record: RecordSet, zone: str) -> None:
    if not record.name.endswith(f".{zone}") and record.name != zone:
        raise _invalid(f"RRSet with DNS name {record.name} is not permitted in zone {zone}")
    if not record.records and not record.alias_target:
        raise Route53ClientError(
            "InvalidInput", "Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords]]"
        )
    if len(set(record.records)) < len(record.records):
        raise _invalid(f"Duplicate Resource Record: '{record.records[0]}'")
    if record.set_identifier and len(record.set_identifier) > 128:
        raise Route53ClientError("InvalidInput", "SetIdentifier is longer than 128 characters")
    if record.weight is not None and not 0 <= int(record.weight) <= HEAVIEST:
        raise Route53ClientError("InvalidInput", f"Weight has to be from 0 to {HEAVIEST}")


def _refuse_mixtures(records: dict[Any, RecordSet]) -> None:
    """The records of a name and a type are all of one routing policy."""
    kinds: dict[tuple[str, str], str] = {}
    for record in records.values():
        kind = "weighted" if record.weight is not None else "multivalue" if record.multi_value_answer else "simple"
        if kinds.setdefault((record.name, str(record.type)), kind) != kind:
            raise _invalid(
                f"RRSet with DNS name {record.name}, type {record.type} cannot be created as a non-{kind} set exists "
                "with the same name and type."
            )


def _invalid(message: str) -> Route53ClientError:
    return Route53ClientError("InvalidChangeBatch", f"[{message}]")


def _key(record: RecordSet) -> tuple[str, str, str]:
    return record.name, str(record.type), record.set_identifier or ""


def _values(record: RecordSet) -> tuple[Any, ...]:
    """What a DELETE has to name."""
    number = int(record.ttl) if record.ttl is not None else None
    weight = int(record.weight) if record.weight is not None else None
    return sorted(record.records), number, weight, bool(record.multi_value_answer)


def _shown(record: RecordSet) -> RecordSet:
    """A star is shown as its code."""
    shown = copy.copy(record)
    shown.name = record.name.replace("*", "\\052")
    return shown


def _order(record: RecordSet) -> tuple[str, str, str]:
    return _place(*_key(record))


def _place(name: str, kind: str = "", identifier: str = "") -> tuple[str, str, str]:
    return _reversed(name), kind, identifier


def _reversed(name: str) -> str:
    return ".".join(reversed(name.rstrip(".").split(".")))


def _dotted(name: str) -> str:
    return f"{name.removesuffix('.')}.".replace("\\052", "*")
