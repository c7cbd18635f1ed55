"""A headless Chromium without a network, driven over a pair of pipes by the DevTools protocol.

The browser reads commands from its file descriptor 3 and writes answers and events to 4, each a JSON object that ends
with a zero byte (`--remote-debugging-pipe`), so that no port is opened and no library is needed.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EXECUTABLE = shutil.which("chromium")

PATIENCE = 60.0
"""Seconds that one answer may take; on a machine under load the first takes a while."""

_FLAGS = (
    "--headless",
    "--no-sandbox",  # tests may run as root, and open only what they have written themselves
    "--disable-gpu",
    "--hide-scrollbars",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-pipe",
)


@dataclass
class Page:
    """The browser's only page, and every event that it has reported."""

    commands: int
    answers: int
    events: list[dict[str, Any]] = field(default_factory=list)
    session: str | None = None
    _number: int = 0
    _unread: bytes = b""

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """The result of a command."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": parameters}
        if self.session:
            command["sessionId"] = self.session
        os.write(self.commands, json.dumps(command).encode() + b"\0")
        while True:
            message = self._message()
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                result: dict[str, Any] = message["result"]
                return result
            self.events.append(message)

    def _message(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while b"\0" not in self._unread:
            readable, _, _ = select.select([self.answers], [], [], max(0.0, deadline - time.monotonic()))
            assert readable, f"Chromium said nothing for {PATIENCE} seconds"
            received = os.read(self.answers, 1 << 16)
            assert received, "Chromium ended"
            self._unread += received
        line, self._unread = self._unread.split(b"\0", 1)
        message: dict[str, Any] = json.loads(line)
        return message

    def happened(self, method: str) -> list[dict[str, Any]]:
        """The parameters of each event of this name so far."""
        return [event["params"] for event in self.events if event.get("method") == method]

    def attach(self) -> None:
        """Make the page, and listen to all that it asks the network for and all that it complains of."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime", "Audits"):
            self.call(f"{domain}.enable")

    def open(self, path: Path, *, width: int = 1200, dark: bool = False) -> None:
        """Load a file and wait until it is there."""
        self.window(width, dark=dark)
        before = len(self.happened("Page.loadEventFired"))
        self.call("Page.navigate", url=path.as_uri())
        while len(self.happened("Page.loadEventFired")) == before:
            self.events.append(self._message())

    def window(self, width: int, *, dark: bool = False) -> None:
        """The window's width in pixels, and the colour scheme that the reader prefers."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self) -> bytes:
        """The whole page as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"])

    def complaints(self) -> list[str]:
        """What the page's console says: errors, violations of its Content-Security-Policy, messages of any kind."""
        logged = [entry["entry"]["text"] for entry in self.happened("Log.entryAdded")]
        issues = [issue["issue"]["code"] for issue in self.happened("Audits.issueAdded")]
        printed = [str(entry["args"]) for entry in self.happened("Runtime.consoleAPICalled")]
        return logged + issues + printed

    def requests(self) -> list[str]:
        """The addresses of all that the page asked for, itself included."""
        return [request["request"]["url"] for request in self.happened("Network.requestWillBeSent")]


@contextmanager
def chromium(profile: Path) -> Iterator[Page]:
    """A browser with a profile of its own, ended when it is done with."""
    assert EXECUTABLE
    to_browser, commands = os.pipe()
    answers, from_browser = os.pipe()
    theirs = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, 10) for each in (to_browser, from_browser)]
    silence = os.open(profile / "chromium.log", os.O_WRONLY | os.O_CREAT, 0o600)
    child = os.posix_spawn(
        EXECUTABLE,
        [EXECUTABLE, *_FLAGS, f"--user-data-dir={profile}"],
        {**os.environ, "HOME": str(profile)},
        file_actions=[
            (os.POSIX_SPAWN_DUP2, theirs[0], 3),
            (os.POSIX_SPAWN_DUP2, theirs[1], 4),
            (os.POSIX_SPAWN_DUP2, silence, 1),
            (os.POSIX_SPAWN_DUP2, silence, 2),
        ],
        setpgroup=0,
    )
    for each in (to_browser, from_browser, *theirs, silence):
        os.close(each)
    page = Page(commands, answers)
    try:
        page.attach()
        yield page
    finally:
        _end(page, child)
        os.close(commands)
        os.close(answers)


def _end(page: Page, child: int) -> None:
    """Ask it to close, with all its processes; one that does not is killed."""
    page.session = None
    with suppress(AssertionError, OSError):
        page.call("Browser.close")
    ended = os.pidfd_open(child)
    if not select.select([ended], [], [], PATIENCE)[0]:
        os.killpg(child, signal.SIGKILL)
    os.close(ended)
    os.waitpid(child, 0)
