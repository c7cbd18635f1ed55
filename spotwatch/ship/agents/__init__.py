"""What log agents leave behind: one reader for each agent, all with the same signature.

A reader never raises for what a state file holds: torn, binary, stale and huge ones give anomalies, and what they may
have said counts as unread.
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import Final

from spotwatch.core.volume import AgentKind
from spotwatch.ship.agents import (
    cloudwatch_agent,
    filebeat,
    fluent_bit,
    fluentd,
    journald,
    promtail,
    rsyslog,
    vector,
)
from spotwatch.ship.position import AgentState
from spotwatch.ship.tree import Tree

Reader = Callable[[Tree, str], AgentState]
"""From the volume and where the agent's state is (a file or a directory, relative to the root) to what it says."""

READERS: Final = MappingProxyType[AgentKind, Reader](
    {
        AgentKind.FLUENTD: fluentd.read,
        AgentKind.FLUENT_BIT: fluent_bit.read,
        AgentKind.VECTOR: vector.read,
        AgentKind.FILEBEAT: filebeat.read,
        AgentKind.RSYSLOG: rsyslog.read,
        AgentKind.CLOUDWATCH_AGENT: cloudwatch_agent.read,
        AgentKind.PROMTAIL: promtail.read,
        AgentKind.JOURNALD: journald.read,
    }
)
"""Every agent has one."""
