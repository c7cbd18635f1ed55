"""What a rule is, what it may know besides the configuration, and what it finds."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from spotwatch.core.capacity import InstanceType
from spotwatch.pools.limits.configuration import Configuration


class Severity(StrEnum):
    """How bad a finding is."""

    REFUSED = "refused"
    """AWS does not take the configuration, or cannot launch what it asks for."""
    UNWISE = "unwise"
    """AWS takes it, and it does something else than its author may think."""


@dataclass(frozen=True, slots=True)
class Breach:
    """One place that breaks a rule: where (a key path), what is wrong there, and what to do about it."""

    where: str
    what: str
    cure: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known besides the configuration; what is empty or None is not known, and its rules find nothing.

    Attributes:
        types: instance types by name.
        quotas: vCPU of Spot Instances by quota class (`spotwatch.pools.quota`); None: nobody asked.
    """

    types: Mapping[str, InstanceType] = field(default_factory=lambda: MappingProxyType({}))
    quotas: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One limit.

    Attributes:
        name: how findings cite it.
        limit: what it says.
        source: who says so.
        breaches: finds where a configuration breaks it.
    """

    name: str
    limit: str
    source: str
    breaches: Callable[[Configuration, Facts], Iterator[Breach]]
    severity: Severity = Severity.REFUSED


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that does not hold: where (a key path), what is wrong there, and what to do about it."""

    rule: str
    severity: Severity
    where: str
    what: str
    cure: str
    source: str


def findings(rule: Rule, configuration: Configuration, facts: Facts) -> Iterator[Finding]:
    """Where a configuration breaks a rule."""
    for breach in rule.breaches(configuration, facts):
        yield Finding(rule.name, rule.severity, breach.where, breach.what, breach.cure, rule.source)
