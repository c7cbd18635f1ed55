"""spotwatch installed in a container with a real systemd, as an operator has it."""

import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.systemd.container import METADATA_ADDRESS, Container, wait_for

FILES = Path(__file__).parents[2] / "systemd"
DROP_INS = "/etc/systemd/system/spotwatch.service.d"
SETTINGS = "/etc/spotwatch/spotwatch.toml"
STATE = "/var/lib/spotwatch"

MET = "/var/tmp/met"
"""A hook makes this file when it has begun, where a test waits for that."""


class Installed:
    """spotwatch as an operator has it: files in their places, `systemctl` and the journal."""

    def __init__(self, container: Container) -> None:
        self.container = container
        self._cursor = ""

    def install(self) -> None:
        """Put the files into their places, in place of what was there."""
        self.systemctl("stop", "spotwatch.service", check=False)
        self.systemctl("reset-failed", check=False)
        self.container.run("rm", "-rf", DROP_INS, STATE, MET)
        self.container.write("/etc/sysusers.d/spotwatch.conf", (FILES / "spotwatch.sysusers").read_text())
        self.container.run("systemd-sysusers")
        self.container.write("/etc/systemd/system/spotwatch.service", (FILES / "spotwatch.service").read_text())
        self.settings((FILES / "spotwatch.toml").read_text())
        self.systemctl("daemon-reload")
        self.serve_metadata()
        shown = self.container.run("journalctl", "--lines=0", "--show-cursor")
        self._cursor = shown.rpartition("cursor: ")[2].strip()

    def systemctl(self, *words: str, check: bool = True) -> str:
        return self.container.run("systemctl", *words, check=check).strip()

    def start(self) -> None:
        self.systemctl("start", "spotwatch.service")

    def stop(self) -> float:
        """Stop it; the seconds that took."""
        began = time.monotonic()
        self.systemctl("stop", "spotwatch.service")
        return time.monotonic() - began

    def settings(self, text: str) -> None:
        self.container.write(SETTINGS, text)

    def hooks(self, *tables: str) -> None:
        """Have settings with these hooks, and see a notice soon."""
        self.settings("\n".join(['[metadata]\npoll_interval = "200ms"\n', *tables]))

    def drop_in(self, text: str) -> None:
        self.container.write(f"{DROP_INS}/test.conf", text)
        self.systemctl("daemon-reload")

    def serve_metadata(self, *steps: str) -> None:
        """Have a fake metadata service that plays these steps from now on."""
        at = [word for step in steps for word in ("--at", step)]
        self.simulate("--host", METADATA_ADDRESS, "--port", "80", *at)

    def simulate(self, *words: str) -> None:
        """Serve with `spotwatch simulate`, in place of what was served before, which has nothing to put in order."""
        self.systemctl("stop", "metadata.service", check=False)
        service = ["systemd-run", "--unit=metadata", "--collect", "--quiet", "--property=KillSignal=SIGKILL"]
        self.container.run(*service, "spotwatch", "simulate", "--serve", *words)

    def announce(self, what: str = "terminate 60s") -> None:
        self.serve_metadata(f"0s {what}")

    def wait_for_hook(self) -> None:
        """Wait until a hook has made `MET`."""
        wait_for(self.container.path(MET).exists, "the hook", seconds=10)

    def property(self, name: str) -> str:
        return self.systemctl("show", "--property", name, "--value", "spotwatch.service")

    def properties(self, *names: str) -> Mapping[str, str]:
        return {name: self.property(name) for name in names}

    def wait_for_property(self, name: str, value: str) -> None:
        wait_for(lambda: self.property(name) == value, f"{name}={value}")

    def journal(self) -> str:
        return self._journal("-u", "spotwatch", "-o", "cat")

    def whole_journal(self) -> str:
        """Also systemd's own messages, and those of the fake metadata service."""
        return self._journal("-o", "short-precise")

    def wait_for_line(self, pattern: str) -> str:
        """The first line of the journal in which the pattern is found."""
        return wait_for(lambda: self._lines(pattern), pattern)[0]

    def _journal(self, *words: str) -> str:
        return self.container.run("journalctl", "--after-cursor", self._cursor, *words)

    def _lines(self, pattern: str) -> list[str]:
        return [line for line in self.journal().splitlines() if re.search(pattern, line)]

    def reports(self) -> list[dict[str, Any]]:
        return [json.loads(file.read_text()) for file in sorted(self.container.path(f"{STATE}/reports").glob("*.json"))]

    def wait_for_report(self) -> dict[str, Any]:
        return wait_for(self.reports, "a report")[-1]

    def output(self, hook: str) -> str:
        (file,) = self.container.path(f"{STATE}/output").glob(f"*/{hook}.log")
        return file.read_text()

    def processes(self) -> str:
        """The command lines of everything that runs in the container, but for our own look."""
        return self.container.run("ps", "-eo", "args")


def hook(script: str, name: str = "it", **keys: str | int) -> str:
    """A hook's settings, with a shell script as its command."""
    values = {"name": name, "command": ["/bin/sh", "-c", script], **keys}
    return "[[hook]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
