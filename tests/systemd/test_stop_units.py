"""stop-units with a real systemd: by hand, in a drain, and in a shutdown that would have it wait for itself."""

import json
import re
import time
from collections.abc import Iterator

import pytest

from tests.systemd.container import Container, missing
from tests.systemd.installed import Installed

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing() or "everything is there"),
]

LOG = "/var/tmp/stops"
"""Where the units note their ends."""

UNITS = {
    "app.service": "ExecStart=/bin/sleep infinity\nExecStop=/bin/sleep 1",
    "db.service": "ExecStart=/bin/sleep infinity",
    "worker@.service": "ExecStart=/bin/sleep infinity",
    "stubborn.service": 'ExecStart=/bin/sh -c "trap : TERM; while :; do sleep 0.1; done"\nTimeoutStopSec=60',
    "deaf.service": 'ExecStart=/bin/sh -c "trap : TERM; while :; do sleep 0.1; done"\nTimeoutStopSec=1',
    "echo.service": "ExecStart=/bin/sleep infinity",
    "minded.service": "ExecStart=/bin/sleep infinity",
}
TRIGGERS = {
    "echo.socket": "[Socket]\nListenStream=127.0.0.1:7777\n",
    "minded.timer": "[Timer]\nOnActiveSec=1\nOnUnitInactiveSec=1\nAccuracySec=100ms\n",
}


@pytest.fixture
def units(spotwatch: Installed) -> Iterator[Container]:
    """Units that run, and note when they have ended."""
    container = spotwatch.container
    container.run("rm", "-f", LOG)
    for name, text in UNITS.items():
        note = f'ExecStopPost=/bin/sh -c "echo %n >> {LOG}"'
        container.write(f"/etc/systemd/system/{name}", f"[Service]\n{text}\n{note}\n")
    for name, text in TRIGGERS.items():
        container.write(f"/etc/systemd/system/{name}", text)
    instances = [f"worker@{number}.service" for number in (1, 2)]
    names = [name for name in UNITS if "@" not in name] + instances + list(TRIGGERS)
    spotwatch.systemctl("daemon-reload")
    spotwatch.systemctl("start", *TRIGGERS)  # a socket is not started beside a service that runs
    spotwatch.systemctl("start", *names)
    yield container
    spotwatch.systemctl("kill", "--signal=KILL", *names, check=False)
    spotwatch.systemctl("stop", *names, check=False)
    spotwatch.systemctl("reset-failed", check=False)


def stop_units(container: Container, *words: str, under: tuple[str, ...] = ()) -> tuple[int, str, float]:
    """Run the hook by hand: its exit code, what it says, and the seconds that it took."""
    began = time.monotonic()
    hook = [*under, "spotwatch", "hook", "stop-units", *words]
    out = container.run("sh", "-c", '"$@" 2>&1; echo "exit code $?"', "sh", *hook, check=False)
    said, _, code = out.rstrip().rpartition("exit code ")
    return int(code), said, time.monotonic() - began


def states(container: Container, *names: str) -> list[str]:
    return container.run("systemctl", "is-active", *names, check=False).split()


def ended(container: Container) -> list[str]:
    file = container.path(LOG)
    return file.read_text().split() if file.exists() else []


def timeless(text: str) -> str:
    return re.sub(r"\d+\.\d+ s", "N s", text)


def test_units_are_stopped_in_order_and_waited_for(units: Container) -> None:
    code, said, took = stop_units(units, "app", "worker@*.service", "db,nowhere")
    assert (code, states(units, "app", "db", "worker@1", "worker@2")) == (0, ["inactive"] * 4)
    stops = ended(units)
    assert (stops[0], set(stops[1:3]), stops[3]) == (
        "app.service",
        {"worker@1.service", "worker@2.service"},
        "db.service",
    )
    assert took > 1
    assert timeless(said).endswith("; nothing to stop: nowhere.service (not known to systemd)\n")
    assert stop_units(units, "app", "db")[:2] == (0, "nothing to stop: app.service (inactive), db.service (inactive)\n")


def test_what_is_triggered_does_not_come_back(units: Container) -> None:
    code, said, _ = stop_units(units, "echo,minded")
    assert (code, set(re.findall(r"\w+\.\w+(?= \(\d)", said))) == (
        0,
        {"echo.socket", "echo.service", "minded.timer", "minded.service"},
    )
    units.run("bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/7777", check=False)
    time.sleep(1.5)  # the timer would have started it after one second
    assert states(units, *TRIGGERS, "echo", "minded") == ["inactive"] * 4


def test_at_its_limit_a_unit_is_killed(units: Container) -> None:
    code, said, took = stop_units(units, "stubborn=1s", "db")
    assert (code, 1 < took < 5) == (1, True), said
    assert timeless(said) == (
        "stopped stubborn.service (N s, failed with result signal), db.service (N s)\nkilled: stubborn.service\n"
    )
    assert states(units, "stubborn", "db") == ["failed", "inactive"]


def test_or_left_and_systemd_goes_on_with_it(units: Container) -> None:
    code, said, _ = stop_units(units, "stubborn=1s", "db", "--at-limit", "leave")
    assert (code, timeless(said).splitlines()[1:]) == (75, ["cut: stubborn.service (still stopping after its limit)"])
    assert states(units, "stubborn", "db") == ["deactivating", "inactive"]


def test_what_systemd_kills_is_said_too(units: Container) -> None:
    code, said, _ = stop_units(units, "deaf")
    assert (code, timeless(said)) == (
        1,
        "stopped deaf.service (N s, failed with result timeout)\nkilled: deaf.service\n",
    )


def test_the_deadline_cuts_the_wait(units: Container) -> None:
    code, said, took = stop_units(units, "stubborn", "db", under=("env", "SPOTWATCH_TIMEOUT=4"))
    assert (code, took < 4.2) == (75, True)
    assert said == "cut: stubborn.service (still stopping at the deadline), db (not begun)\n"
    assert states(units, "db") == ["active"]


def test_who_is_nobody_is_told_that_systemd_does_not_let_him(units: Container) -> None:
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    code, said, _ = stop_units(units, "db", under=nobody)
    assert code == 77, said
    assert said.startswith("missing: systemd does not let us: Failed to stop db.service: ")
    assert "org.freedesktop.systemd1.manage-units" in said
    assert states(units, "db") == ["active"]


def test_a_dry_run_stops_nothing(units: Container) -> None:
    code, said, _ = stop_units(units, "--dry-run", "echo=5s", "db", "nowhere")
    assert (code, said.splitlines()) == (
        0,
        [
            "would stop echo.service (active), and echo.socket with it, for at most 5 s",
            "would stop db.service (active)",
            "nothing to stop: nowhere.service (not known to systemd)",
        ],
    )
    assert states(units, "echo", "db") == ["active"] * 2


def hook(*words: str) -> str:
    args = json.dumps(list(words))
    return f'[[hook]]\nname = "stop"\nuse = "stop-units"\nargs = {args}\non = ["terminate", "shutdown"]\n'


def outcome(spotwatch: Installed) -> tuple[str, int, str]:
    (stop,) = spotwatch.wait_for_report()["hooks"]
    return stop["status"], stop["exit_code"], timeless(spotwatch.output("stop"))


def ordered_after(spotwatch: Installed, *units: str) -> None:
    spotwatch.drop_in(f"[Unit]\nAfter={' '.join(units)}\n")


def test_in_a_drain_it_stops_them_from_the_sandbox_of_the_unit(spotwatch: Installed, units: Container) -> None:
    spotwatch.hooks(hook("app", "db"))
    spotwatch.start()
    spotwatch.announce()
    assert outcome(spotwatch) == ("succeeded", 0, "stopped app.service (N s), db.service (N s)\n")
    assert ended(units) == ["app.service", "db.service"]


@pytest.mark.parametrize("words", [("stop", "spotwatch.service"), ("isolate", "rescue-like.target")])
def test_a_unit_that_ours_is_ordered_after_does_not_wait_for_us(
    spotwatch: Installed, units: Container, words: tuple[str, str]
) -> None:
    """Both are being stopped, ours first as systemd has it, and our hook stops the other."""
    units.write("/etc/systemd/system/rescue-like.target", "[Unit]\nAllowIsolate=yes\nRequires=dbus.socket\n")
    ordered_after(spotwatch, "app.service", "db.service")
    spotwatch.settings(f"[drain]\non_shutdown = true\n{hook('app', 'db')}")
    spotwatch.start()
    spotwatch.systemctl("--no-block", *words)
    assert outcome(spotwatch) == ("succeeded", 0, "stopped app.service (N s), db.service (N s)\n")


@pytest.mark.usefixtures("units")
def test_a_stop_of_ours_in_the_middle_of_the_wait_is_noticed(spotwatch: Installed) -> None:
    """The second unit is ordered before us, and ours is being stopped when its turn comes."""
    ordered_after(spotwatch, "db.service")
    spotwatch.hooks(hook("stubborn=4s", "db"))
    spotwatch.start()
    spotwatch.announce()
    spotwatch.wait_for_line("hook-started")
    time.sleep(1)
    spotwatch.systemctl("--no-block", "stop", "spotwatch.service")
    status, code, said = outcome(spotwatch)
    assert (status, code) == ("failed", 1), said
    assert said.endswith("killed: stubborn.service\n")
    assert "db.service (N s)" in said
