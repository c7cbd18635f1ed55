"""The settings of the demonstration: hooks that need neither root nor AWS.

Most of them only pretend. In the story the two that look after the log are the real ones, and AWS is played.
"""

import json
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Final

LOGS: Final = "log"
"""Where the application logs, on the log volume."""

AGENT_STATE: Final = "state/filebeat"
"""Where the agent keeps its state, on the log volume."""

_BEGINNING = """\
# What "spotwatch simulate" runs when it is given no settings of yours.

[metadata]
poll_interval = "1s"
rebalance_interval = "1s"

[[hook]]
name = "stop-taking-jobs"
on = ["rebalance", "terminate", "stop", "hibernate"]
stage = 10
command = ["/bin/sh", "-c", "sleep 0.5; echo no new jobs from now on"]
timeout = "10s"

[[hook]]
name = "leave-load-balancer"
stage = 20
command = ["/bin/sh", "-c", "echo deregistering $SPOTWATCH_INSTANCE_ID; sleep 2; echo out of service"]
timeout = "60s"

[[hook]]
name = "finish-requests"
stage = 20
command = ["/bin/sh", "-c", "for left in 3 2 1; do echo $left requests in flight; sleep 1; done; echo none"]
timeout = "60s"
"""

SETTINGS: Final = f"""\
{_BEGINNING}
[[hook]]
name = "flush-logs"
stage = 30
command = ["/bin/sh", "-c", "echo $SPOTWATCH_SECONDS_LEFT s left to flush; sleep 1; echo flushed"]
timeout = "20s"
reserve = "10s"
always = true
"""


def story_settings(*, words: Sequence[str], volume: Path, pid_file: Path, without: Container[str]) -> str:
    """The settings of the instance in the story, whose log hooks are the real ones.

    Args:
        words: the program that runs ``hook NAME …`` on the machine of the story.
        volume: the path that stands for the mount point of the log volume.
        pid_file: of the log agent.
        without: the names of hooks that are left out.
    """
    preserve = ["preserve-volume", "--mount-point", str(volume)]
    preserve += ["--log-path", f"{LOGS}/*", "--agent", f"filebeat:{AGENT_STATE}", "--owner", "spotwatch simulate"]
    flush = ["flush-logs", "--mount-point", str(volume), "--signal", f"TERM:{pid_file}"]
    hooks = {"preserve-volume": (_PRESERVE_VOLUME, preserve), "flush-logs": (_FLUSH_LOGS, flush)}
    kept = [
        text.format(command=_toml([*words, "hook", *command]))
        for name, (text, command) in hooks.items()
        if name not in without
    ]
    return "".join([_BEGINNING, *kept])


# Two hooks: one that a rebalance recommendation finds still at work goes on, and the notice finds the other undone.
_PRESERVE_VOLUME = """
[[hook]]
name = "arm-volume"
on = ["start", "rebalance"]
stage = 10
command = {command}
timeout = "30s"

[[hook]]
name = "preserve-volume"
on = ["terminate"]
stage = 10
command = {command}
timeout = "30s"
"""

_FLUSH_LOGS = """
[[hook]]
name = "flush-logs"
stage = 30
command = {command}
timeout = "20s"
reserve = "10s"
always = true
"""


def _toml(words: Sequence[str]) -> str:
    """A list of texts; what JSON writes for one TOML reads alike."""
    return json.dumps(words)
