"""An instance on which a recipe is in force as the page shows it: the daemon in its own unit, under a real systemd."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.recipes.recipe import Recipe
from tests.systemd.container import Container, wait_for
from tests.systemd.installed import Installed

PATIENCE_SECONDS = 60.0

Answer = tuple[int, str]
"""The status code, 0 without any, and the body."""


def needs(program: str, package: str) -> pytest.MarkDecorator:
    """Skips a test where a program is missing."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"not installed: {program} (Debian: {package})")


class Request:
    """A request that is under way in the network of a container."""

    def __init__(self, container: Container, url: str) -> None:
        words = ["curl", "--silent", "--max-time", "60", "--write-out", "\n%{http_code}", url]
        self._process = subprocess.Popen(
            ["nsenter", "--target", str(container.leader), "--net", "--", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    @property
    def is_over(self) -> bool:
        return self._process.poll() is not None

    def answer(self) -> Answer:
        """Its answer, which is waited for."""
        out, _ = self._process.communicate(timeout=PATIENCE_SECONDS)
        body, _, code = out.rpartition("\n")
        return int(code), body


class Machine:
    """A container, with a recipe in force."""

    def __init__(self, spotwatch: Installed) -> None:
        self.spotwatch = spotwatch
        self.container = spotwatch.container
        self._units: list[str] = []
        awk = self.container.path("/etc/alternatives/awk")
        if not awk.is_symlink():  # what /usr/bin/awk leads to
            awk.parent.mkdir(exist_ok=True)
            awk.symlink_to(os.readlink("/etc/alternatives/awk"))

    def follow(self, recipe: Recipe) -> None:
        """Write what the recipe shows into the files that it names, and see that `spotwatch check` accepts it."""
        self.spotwatch.hooks()
        self.container.write("/etc/spotwatch/spotwatch.d/recipe.toml", recipe.settings)
        for path, text in recipe.files.items():
            program = path.startswith("/usr/local/bin/")
            self.container.write(path.replace("/usr/local/bin/", "/opt/bin/"), text, 0o755 if program else 0o644)
        self.systemctl("daemon-reload")
        self.container.run("spotwatch", "check")

    def double(self, name: str, path: str = "") -> str:
        """Install a program of tests/recipes/doubles; its path."""
        text = (Path(__file__).with_name("doubles") / f"{name}.py").read_text()
        path = path or f"/opt/doubles/{name}"
        self.container.write(path, f"#!{sys.executable}\n{text}", 0o755)
        return path

    def systemctl(self, *words: str, check: bool = True) -> str:
        return self.spotwatch.systemctl(*words, check=check)

    def start_service(self, name: str, *words: str) -> None:
        """Run a command as a unit until the end of the test."""
        self._units.append(name)
        self.container.run("systemd-run", f"--unit={name}", "--collect", "--quiet", *words)

    def start_unit(self, *names: str) -> None:
        """Start units that are there, until the end of the test."""
        self._units += names
        self.systemctl("start", *names)

    def end(self) -> None:
        """Stop what was started."""
        self.systemctl("stop", "spotwatch.service", *self._units, check=False)
        self.container.run("rm", "-f", "/etc/spotwatch/spotwatch.d/recipe.toml")

    def is_active(self, unit: str) -> bool:
        return self.systemctl("is-active", unit, check=False) == "active"

    def state(self, unit: str) -> str:
        return self.systemctl("is-active", unit, check=False)

    def request(self, url: str) -> Request:
        return Request(self.container, url)

    def ask(self, url: str) -> Answer:
        return self.request(url).answer()

    # The daemon

    def start(self) -> dict[str, str]:
        """Start it, and wait until its hooks for the start are over; what became of them."""
        self.spotwatch.start()
        return self.statuses("start")

    def announce(self, seconds: int = 100) -> None:
        """The notice comes."""
        self.spotwatch.announce(f"terminate {seconds}s")

    def withdraw(self) -> None:
        """The notice is withdrawn."""
        self.spotwatch.serve_metadata()

    def output(self, hook: str, nth: int = 1) -> str:
        """What a hook has written in the nth drain in which it ran; empty if it did not yet."""
        files = sorted(self.container.path("/var/lib/spotwatch/output").glob(f"*/{hook}.log"))
        return files[nth - 1].read_text() if len(files) >= nth else ""

    def wait_for_output(self, hook: str, text: str) -> None:
        wait_for(lambda: text in self.output(hook), f"{text!r} in the output of {hook}")

    def began(self, hook: str) -> bool:
        """Whether it runs or has run."""
        return any(self.container.path("/var/lib/spotwatch/output").glob(f"*-terminate/{hook}.log"))

    def wait_for_hook(self, hook: str) -> None:
        wait_for(lambda: self.began(hook), f"the begin of {hook}", PATIENCE_SECONDS)

    def report(self, event: str, nth: int = 1) -> dict[str, Any]:
        """The report of the nth drain that began with this event, once it is over."""

        def find() -> dict[str, Any] | None:
            found = [each for each in self.spotwatch.reports() if each["drain"].endswith(f"-{event}")]
            return found[nth - 1] if len(found) >= nth and found[nth - 1]["verdict"] != "running" else None

        return wait_for(find, f"report {nth} of {event}", PATIENCE_SECONDS) or {}

    def statuses(self, event: str, nth: int = 1) -> dict[str, str]:
        """What became of each hook of that drain."""
        return {hook["name"]: hook["status"] for hook in self.report(event, nth)["hooks"]}


@contextmanager
def machine_of(spotwatch: Installed) -> Iterator[Machine]:
    """A machine, until the block ends."""
    machine = Machine(spotwatch)
    try:
        yield machine
    finally:
        machine.end()
