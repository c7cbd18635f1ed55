"""What AWS allows in a fleet, a group or a NodePool: each limit is a named rule over a neutral model of them."""

from typing import Final

from spotwatch.pools.limits import attributes, auto_scaling, fleets, offered
from spotwatch.pools.limits.configuration import Configuration, Fleet, Kind, Override, Requirements
from spotwatch.pools.limits.rule import Breach, Facts, Finding, Rule, Severity, findings

__all__ = [
    "RULES",
    "Breach",
    "Configuration",
    "Facts",
    "Finding",
    "Fleet",
    "Kind",
    "Override",
    "Requirements",
    "Rule",
    "Severity",
    "examine",
]

RULES: Final = (*fleets.RULES, *auto_scaling.RULES, *attributes.RULES, *offered.RULES)
"""Every rule about a configuration; those about requests and answers are in `spotwatch.pools.limits.requests`."""


def examine(configuration: Configuration, facts: Facts | None = None) -> tuple[Finding, ...]:
    """Every limit that the configuration breaks, what AWS refuses first.

    Args:
        configuration: what is to be created.
        facts: what is known besides; without it, the rules that need it find nothing.
    """
    found = [finding for rule in RULES for finding in findings(rule, configuration, facts or Facts())]
    return tuple(sorted(found, key=lambda finding: finding.severity is Severity.UNWISE))
