"""Records in Route 53: simple, weighted and multivalue answer ones.

Whose a record is stands in its `SetIdentifier`: the instance's id for a weighted record, the id and the address for
the multivalue ones. A simple record is one for all instances, and of its values each instance owns its addresses.

What this survives:

- Two instances that change one simple record at the same time: the old record is deleted in every value and made anew
  in one batch, which Route 53 refuses whole if the old one is not exactly that any more; then it is read again.
- `PriorRequestNotComplete` and the limit of five calls a second for a whole account: patience, with jitter.
- A call that was carried out although its answer got lost: the next look finds nothing left to change.

Sources: Route 53 API reference (ChangeResourceRecordSets, GetChange, ListResourceRecordSets, ListHostedZonesByName).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import Any, Final

from spotwatch.aws.session import Api
from spotwatch.core.errors import AwsConflict, AwsNotFound, AwsRefused, AwsUnsettled
from spotwatch.core.name_record import RECORD_TYPES, NameChange, Registration, by_type, parents, record_type

PAGE: Final = "300"
"""Record sets in one answer: as many as Route 53 gives."""

_RACE: Final = re.compile(r"already exists|was not found|do not match the current values")
"""How InvalidChangeBatch says that a record set is not what we have read."""

_ESCAPED: Final = re.compile(r"\\([0-7]{3})")

RecordSet = Mapping[str, Any]
"""As Route 53 shows it, and as it wants it back for a DELETE."""


class Policy(StrEnum):
    """How Route 53 chooses among the records of a name."""

    SIMPLE = "simple"
    WEIGHTED = "weighted"
    MULTIVALUE = "multivalue"


class Route53:
    """Implements `spotwatch.hooks.services.NameService`."""

    def __init__(self, route53: Api, *, zone_id: str = "", policy: Policy = Policy.MULTIVALUE) -> None:
        """Nothing is asked yet.

        Args:
            route53: the API.
            zone_id: of the hosted zone; empty: the one with the longest name that fits.
            policy: what `join` makes; `leave` takes out all kinds.
        """
        self._api = route53
        self._zone_id = zone_id.removeprefix("/hostedzone/")
        self._policy = policy

    def join(self, registration: Registration, *, dry_run: bool = False) -> NameChange:
        """Put the addresses under the name; what the instance had there besides is taken out.

        Raises:
            AwsError: as its subclasses say.
        """

        def plan(found: Sequence[RecordSet]) -> list[RecordSet]:
            return joining(found, registration, self._policy)

        changes, pending = self._change(registration, plan, dry_run=dry_run)
        put = _addresses(changes, "CREATE", "UPSERT") - _addresses(changes, "DELETE")
        mine = tuple(address for address in registration.addresses if address in put)
        return NameChange(registration.name, put=mine, expected=registration.addresses, pending=pending)

    def leave(self, registration: Registration, *, dry_run: bool = False) -> NameChange:
        """Take out the instance's records of every kind, and its addresses out of simple ones.

        Raises:
            AwsError: as its subclasses say.
        """
        changes, pending = self._change(registration, lambda found: leaving(found, registration), dry_run=dry_run)
        taken = _addresses(changes, "DELETE") - _addresses(changes, "CREATE")
        return NameChange(
            registration.name,
            taken=tuple(sorted(taken)),
            ttl=max((change["ResourceRecordSet"]["TTL"] for change in changes), default=None),
            pending=pending,
        )

    def wait(self, change: NameChange) -> None:
        """Until all of Route 53's servers answer with the change.

        Raises:
            AwsUnsettled: they do not yet.
            AwsError: as its subclasses say.
        """
        for number in change.pending:
            self._api.wait_for(partial(self._see_whether_in_sync, number))

    def _see_whether_in_sync(self, number: str) -> None:
        told = self._api.attempt("GetChange", Id=number)["ChangeInfo"]
        if told["Status"] != "INSYNC":
            raise AwsUnsettled(
                f"Route 53 has the change {number.removeprefix('/change/')}, and not all of its servers answer so yet",
                hint="this takes a minute at the most, as AWS says: give the hook more time",
            )

    def _change(
        self, registration: Registration, plan: Callable[[Sequence[RecordSet]], list[RecordSet]], *, dry_run: bool
    ) -> tuple[Sequence[RecordSet], tuple[str, ...]]:
        """What was changed, and what Route 53 calls it; read and tried again as often as somebody was quicker."""
        zone = self._zone_id or self._zone_of(registration.name)

        def attempt() -> tuple[Sequence[RecordSet], tuple[str, ...]]:
            changes = plan(list(self._record_sets(zone, registration.name)))
            if not changes or dry_run:
                return changes, ()
            return changes, (self._send(zone, registration.name, changes),)

        return self._api.wait_for(attempt)

    def _send(self, zone: str, name: str, changes: Sequence[RecordSet]) -> str:
        batch = {"Comment": "spotwatch", "Changes": changes}
        try:
            told = self._api.call("ChangeResourceRecordSets", HostedZoneId=zone, ChangeBatch=batch)
        except AwsRefused as error:
            if error.code != "InvalidChangeBatch":
                raise
            if _RACE.search(error.message):
                raise AwsUnsettled(f"the records of {name} were changed at the same time: {error.message}") from error
            hint = "see the other records of the name: those of one type all have the same routing policy (--policy)"
            raise AwsConflict(error.message, code=error.code, hint=hint) from error
        return str(told["ChangeInfo"]["Id"])

    def _record_sets(self, zone: str, name: str) -> Iterator[RecordSet]:
        """The address records of a name."""
        start: dict[str, str] = {"StartRecordName": name, "StartRecordType": RECORD_TYPES[0]}
        while True:
            page = self._api.call("ListResourceRecordSets", HostedZoneId=zone, MaxItems=PAGE, **start)
            for found in page["ResourceRecordSets"]:
                if _plain(found["Name"]) != name:
                    return
                if found["Type"] in RECORD_TYPES:
                    yield found
            if not page.get("IsTruncated"):
                return
            marks = ("Name", "Type", "Identifier")
            start = {f"StartRecord{mark}": page[f"NextRecord{mark}"] for mark in marks if page.get(f"NextRecord{mark}")}

    def _zone_of(self, name: str) -> str:
        for candidate in parents(name):
            told = self._api.call("ListHostedZonesByName", DNSName=candidate)["HostedZones"]
            found = [str(zone["Id"]).removeprefix("/hostedzone/") for zone in told if _plain(zone["Name"]) == candidate]
            if len(found) > 1:
                raise AwsConflict(
                    f"there are {len(found)} hosted zones named {candidate}: {', '.join(sorted(found))}",
                    hint="say which with --zone-id",
                )
            if found:
                return found[0]
        raise AwsNotFound(f"Route 53 has no hosted zone for {name}", hint="correct --name, or see the account")


def joining(found: Sequence[RecordSet], registration: Registration, policy: Policy) -> list[RecordSet]:
    """The changes that put the addresses of an instance under a name, and take out what else the instance has there.

    Raises:
        AwsConflict: the name is an alias.
    """
    if policy is Policy.SIMPLE:
        return [change for kind in RECORD_TYPES for change in _joining_simple(found, registration, kind)]
    wanted = _weighted(registration) if policy is Policy.WEIGHTED else _multivalue(registration)
    names = {_key(record) for record in wanted}
    ours = [record for record in found if _is_ours(record, registration)]
    stale = [_change("DELETE", record) for record in ours if _key(record) not in names]
    return stale + [_change("UPSERT", record) for record in wanted if not any(_is_as(one, record) for one in ours)]


def leaving(found: Sequence[RecordSet], registration: Registration) -> list[RecordSet]:
    """The changes that take an instance out of a name."""
    changes = [_change("DELETE", record) for record in found if _is_ours(record, registration)]
    for record in found:
        rest = [value for value in _values(record) if value not in registration.addresses]
        if "SetIdentifier" not in record and len(rest) < len(_values(record)):
            changes.append(_change("DELETE", record))
            changes += [_change("CREATE", _holding(record, rest))] if rest else []
    return changes


def _joining_simple(found: Sequence[RecordSet], registration: Registration, kind: str) -> list[RecordSet]:
    """An existing record keeps its TTL, which is everybody's."""
    addresses = registration.addresses_of(kind)
    old = next((record for record in found if record["Type"] == kind and "SetIdentifier" not in record), None)
    if old is None:
        new = {"Name": registration.name, "Type": kind, "TTL": registration.ttl}
        return [_change("CREATE", _holding(new, addresses))] if addresses else []
    if "AliasTarget" in old:
        raise AwsConflict(f"{registration.name} is an alias record", hint="take another --name, or remove the alias")
    lacking = [address for address in addresses if address not in _values(old)]
    together = _holding(old, [*_values(old), *lacking])
    return [_change("DELETE", old), _change("CREATE", together)] if lacking else []


def _weighted(registration: Registration) -> list[RecordSet]:
    """One record of each type for all addresses of the instance."""
    common = {"Name": registration.name, "SetIdentifier": registration.instance_id, "Weight": registration.weight}
    return [
        _holding({**common, "Type": kind, "TTL": registration.ttl}, addresses)
        for kind, addresses in by_type(registration.addresses).items()
    ]


def _multivalue(registration: Registration) -> list[RecordSet]:
    """One record for each address, so that an instance with more of them is in more of the answers."""
    common = {"Name": registration.name, "TTL": registration.ttl, "MultiValueAnswer": True}
    return [
        _holding(
            {**common, "Type": record_type(address), "SetIdentifier": f"{registration.instance_id}/{address}"},
            [address],
        )
        for address in registration.addresses
    ]


def _change(action: str, record: RecordSet) -> RecordSet:
    return {"Action": action, "ResourceRecordSet": record}


def _holding(record: RecordSet, addresses: Sequence[str]) -> RecordSet:
    return {**record, "ResourceRecords": [{"Value": address} for address in addresses]}


def _values(record: RecordSet) -> list[str]:
    return [value["Value"] for value in record.get("ResourceRecords", ())]


def _key(record: RecordSet) -> tuple[str, str]:
    return record["Type"], record["SetIdentifier"]


def _is_ours(record: RecordSet, registration: Registration) -> bool:
    return str(record.get("SetIdentifier", "")).partition("/")[0] == registration.instance_id


def _is_as(record: RecordSet, wanted: RecordSet) -> bool:
    """Whether a record that is there is as we want it."""
    return all(record.get(key) == value for key, value in wanted.items() if key != "Name")


def _addresses(changes: Sequence[RecordSet], *actions: str) -> set[str]:
    chosen = (change["ResourceRecordSet"] for change in changes if change["Action"] in actions)
    return {value for record in chosen for value in _values(record)}


def _plain(name: str) -> str:
    r"""A name as people write it: Route 53 ends it with a dot, and shows the star of a wildcard as `\052`."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), name).removesuffix(".").lower()
