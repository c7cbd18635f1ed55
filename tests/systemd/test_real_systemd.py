"""The unit under a real systemd as process 1, with the metadata service at its own address."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.systemd.container import Container, booted, missing, wait_for
from tests.systemd.installed import FILES, MET, SETTINGS, STATE, Installed, hook

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(missing()), reason=missing() or "everything is there")]


class TestStart:
    def test_it_is_ready_with_the_settings_that_are_installed(self, spotwatch: Installed) -> None:
        spotwatch.start()
        assert spotwatch.properties("ActiveState", "SubState", "NRestarts", "Result") == {
            "ActiveState": "active",
            "SubState": "running",
            "NRestarts": "0",
            "Result": "success",
        }

    def test_it_is_ready_without_any_metadata_service(self, spotwatch: Installed) -> None:
        """An instance may boot faster than its metadata service, and must not fail for it."""
        spotwatch.systemctl("stop", "metadata.service")
        spotwatch.start()
        assert "the metadata service has not answered yet" in spotwatch.systemctl("status", "spotwatch")

    def test_systemctl_status_says_what_it_is_doing(self, spotwatch: Installed) -> None:
        spotwatch.start()
        wait_for(lambda: "last good poll" in spotwatch.property("StatusText"), "the first poll")
        assert re.search(r'Status: "watching; last good poll \S+ UTC"', spotwatch.systemctl("status", "spotwatch"))

    def test_wrong_settings_end_it_for_good_and_the_mistake_is_in_the_journal(self, spotwatch: Installed) -> None:
        """A restart would read the same file; `failed` is what monitoring looks for."""
        spotwatch.settings("[metadata]\npol_interval = 1\n")
        spotwatch.systemctl("start", "spotwatch.service", check=False)
        assert f"{SETTINGS}: metadata.pol_interval:" in spotwatch.journal()
        assert spotwatch.properties("ActiveState", "ExecMainStatus", "NRestarts") == {
            "ActiveState": "failed",
            "ExecMainStatus": "78",
            "NRestarts": "0",
        }

    def test_what_hooks_have_written_is_for_nobody_else(self, spotwatch: Installed) -> None:
        run_hook(spotwatch, "echo secret")
        assert spotwatch.output("it") == "secret\n"
        refused = spotwatch.container.run("runuser", "-u", "nobody", "--", "ls", STATE, check=False)
        assert "Permission denied" in refused


class TestReload:
    def test_a_mistake_leaves_the_old_settings_in_force(self, spotwatch: Installed) -> None:
        spotwatch.hooks(hook("echo as before"))
        spotwatch.start()
        pid = spotwatch.property("MainPID")
        spotwatch.hooks(hook("echo no more", reserv="2s"))
        spotwatch.systemctl("reload", "spotwatch.service")
        spotwatch.wait_for_line("reload-refused")
        assert 'did you mean "reserve"?' in spotwatch.wait_for_line("settings-mistake")
        assert (spotwatch.property("ActiveState"), spotwatch.property("MainPID")) == ("active", pid)
        spotwatch.announce()
        assert spotwatch.wait_for_report()["verdict"] == "drained"
        assert spotwatch.output("it") == "as before\n"

    def test_new_settings_are_in_force_without_a_restart(self, spotwatch: Installed) -> None:
        spotwatch.start()
        pid = spotwatch.property("MainPID")
        spotwatch.hooks(hook("echo from now on"))
        spotwatch.systemctl("reload", "spotwatch.service")
        spotwatch.wait_for_line("settings-reloaded.*hooks=1")
        spotwatch.wait_for_property("ActiveState", "active")
        spotwatch.announce()
        spotwatch.wait_for_report()
        assert (spotwatch.output("it"), spotwatch.property("MainPID")) == ("from now on\n", pid)


class TestStop:
    def test_an_idle_daemon_is_gone_within_a_second(self, spotwatch: Installed) -> None:
        spotwatch.start()
        assert spotwatch.stop() < 1
        assert spotwatch.properties("ActiveState", "Result") == {"ActiveState": "inactive", "Result": "success"}

    def test_a_drain_that_has_begun_is_finished_first(self, spotwatch: Installed) -> None:
        spotwatch.hooks(hook(f"touch {MET}; sleep 2"), hook("echo last", "next", stage=60))
        spotwatch.start()
        spotwatch.announce()
        spotwatch.wait_for_hook()
        assert 1 < spotwatch.stop() < 6
        (report,) = spotwatch.reports()
        assert report["verdict"] == "drained"
        assert [done["status"] for done in report["hooks"]] == ["succeeded", "succeeded"]
        assert spotwatch.property("Result") == "success"

    @pytest.mark.slow
    def test_systemd_waits_longer_than_its_own_limit_if_the_drain_takes_longer(self, spotwatch: Installed) -> None:
        """A rebalance drain has ten minutes; the daemon asks for them with EXTEND_TIMEOUT_USEC."""
        spotwatch.drop_in("[Service]\nTimeoutStopSec=1s\n")
        spotwatch.hooks(hook(f"touch {MET}; sleep 3"))
        spotwatch.start()
        spotwatch.announce()
        spotwatch.wait_for_hook()
        assert spotwatch.stop() > 2
        assert spotwatch.reports()[0]["verdict"] == "drained"

    def test_hooks_get_no_sigterm_from_systemd(self, spotwatch: Installed) -> None:
        spotwatch.hooks(hook(f"trap 'echo told to stop' TERM; touch {MET}; sleep 1; sleep 1"))
        spotwatch.start()
        spotwatch.announce()
        spotwatch.wait_for_hook()
        spotwatch.stop()
        assert spotwatch.output("it") == ""

    def test_nothing_that_a_hook_has_started_is_left(self, spotwatch: Installed) -> None:
        stubborn = "setsid sh -c 'trap \"\" TERM; env -i sleep 12345' & "
        spotwatch.hooks(hook(f"{stubborn} sleep 0.3; touch {MET}; sleep 1"))
        spotwatch.start()
        spotwatch.announce()
        spotwatch.wait_for_hook()
        assert "sleep 12345" in spotwatch.processes()
        spotwatch.stop()
        assert "sleep 12345" not in spotwatch.processes()


class TestTrouble:
    @pytest.mark.slow
    def test_a_daemon_that_hangs_says_where_and_is_started_again(self, spotwatch: Installed) -> None:
        """With a shorter watchdog than the unit's, for the test."""
        spotwatch.drop_in("[Service]\nWatchdogSec=2s\n")
        spotwatch.start()
        spotwatch.systemctl("kill", "--kill-whom=main", "--signal=STOP", "spotwatch.service")
        spotwatch.wait_for_property("NRestarts", "1")
        spotwatch.wait_for_property("ActiveState", "active")
        journal = spotwatch.journal()
        assert "Watchdog timeout" in journal
        assert "Fatal Python error: Aborted" in journal
        assert "daemon/loop.py" in journal

    @pytest.mark.slow
    def test_a_watched_daemon_is_never_taken_for_a_hanging_one_while_hooks_run(self, spotwatch: Installed) -> None:
        spotwatch.drop_in("[Service]\nWatchdogSec=1s\n")
        spotwatch.hooks(hook(f"touch {MET}; sleep 4"))
        spotwatch.start()
        spotwatch.announce()
        assert spotwatch.wait_for_report()["verdict"] == "drained"
        assert spotwatch.property("NRestarts") == "0"

    @pytest.mark.slow
    def test_it_is_started_again_however_often_it_dies(self, spotwatch: Installed) -> None:
        """With a shorter pause than the unit's; six starts in ten seconds are beyond systemd's default limit."""
        spotwatch.drop_in("[Service]\nRestartSec=100ms\n")
        spotwatch.start()
        for restart in range(1, 7):
            spotwatch.systemctl("kill", "--kill-whom=main", "--signal=KILL", "spotwatch.service")
            spotwatch.wait_for_property("NRestarts", str(restart))
            spotwatch.wait_for_property("ActiveState", "active")


APPLICATION = """\
[Service]
ExecStart=sleep infinity
ExecStop=sh -c 'date +%%s.%%N > /var/tmp/application-stopped'
[Install]
WantedBy=multi-user.target
"""

ALLOWED = (
    "systemctl stop application.service",
    "systemctl show --property=ActiveState --value spotwatch.service",
    "echo line >> /var/log/application.log",
    "touch /run/flag /srv/flag /var/tmp/flag /tmp/flag /dev/shm/flag",
    "test -e /tmp/application.pid",
    "cat /root/configuration",
    "install -o nobody -m 600 /dev/null /var/lib/flag",
    "setpriv --reuid=nobody --clear-groups true",
    "runuser -u nobody -- true",
    "su nobody -s /bin/sh -c true",
    "renice -n -5 $$ && ionice -c 1 true",
    "kill -0 1 && ps -eo args | grep 'spotwatch simulat[e]'",
    "ip addr add 192.0.2.1/32 dev lo",
    "python3 -c 'import socket; socket.create_server((\"127.0.0.1\", 81))'",
    "python3 -c 'import mmap; mmap.mmap(-1, 4096, prot=7)'",
    "journalctl --lines=1 --unit=spotwatch",
)

MOUNTING = "SystemCallFilter=@mount\nCapabilityBoundingSet=CAP_SYS_ADMIN"

REFUSED = {
    "touch /etc/nginx/flag": ("Read-only file system", "ReadWritePaths=/etc/nginx"),
    "touch /root/flag": ("Read-only file system", "ProtectHome=no"),
    "umount --lazy /tmp": ("must be superuser", MOUNTING),
    "unshare --mount true": ("Operation not permitted", f"{MOUNTING}\nRestrictNamespaces=no"),
    "mknod /var/tmp/d c 1 3": ("not permitted", "PrivateDevices=no\nCapabilityBoundingSet=CAP_MKNOD"),
    "grep NoNewPrivs:.0 /proc/self/status": ("", "NoNewPrivileges=no"),
    "chmod u+s /var/tmp": ("Operation not permitted", "RestrictSUIDSGID=no"),
    "echo 1 > /proc/sys/net/ipv4/ip_forward": ("Read-only file system", "ProtectKernelTunables=no"),
    "setarch --addr-no-randomize true": ("Operation not permitted", "LockPersonality=no"),
    "chrt --fifo 1 true": ("Operation not permitted", "RestrictRealtime=no"),
}
"""What each is told, and the directives that allow it."""


def prepare(spotwatch: Installed) -> None:
    """What the commands are about."""
    spotwatch.container.write("/etc/nginx/nginx.conf", "")
    spotwatch.container.write("/root/configuration", "secret", mode=0o600)
    spotwatch.container.write("/etc/systemd/system/application.service", APPLICATION)
    spotwatch.container.run("touch", "/tmp/application.pid")
    spotwatch.systemctl("start", "application.service")


@pytest.fixture(scope="class")
def found(container: Container) -> dict[str, tuple[str, str]]:
    """What became of each command as a hook, and what it wrote; all in one drain."""
    installed = Installed(container)
    installed.install()
    prepare(installed)
    commands = {f"hook-{number}": command for number, command in enumerate([*ALLOWED, *REFUSED])}
    installed.hooks(*(hook(command, name) for name, command in commands.items()))
    installed.start()
    installed.announce()
    outcomes = installed.wait_for_report()["hooks"]
    return {commands[done["name"]]: (done["status"], installed.output(done["name"])) for done in outcomes}


class TestSandbox:
    """What hooks commonly do works; what is refused fails with an error, and a drop-in allows it."""

    @pytest.mark.parametrize("command", ALLOWED)
    def test_a_hook_may(self, found: dict[str, tuple[str, str]], command: str) -> None:
        status, output = found[command]
        assert status == "succeeded", output

    @pytest.mark.parametrize("command", REFUSED)
    def test_a_hook_may_not(self, found: dict[str, tuple[str, str]], command: str) -> None:
        refusal, _ = REFUSED[command]
        status, output = found[command]
        assert status == "failed"
        assert refusal in output

    @pytest.mark.slow
    @pytest.mark.parametrize("command", REFUSED)
    def test_a_hook_may_with_a_drop_in(self, spotwatch: Installed, command: str) -> None:
        _, directives = REFUSED[command]
        prepare(spotwatch)
        spotwatch.drop_in(f"[Service]\n{directives}\n")
        assert run_hook(spotwatch, command)["status"] == "succeeded", spotwatch.output("it")

    @pytest.mark.parametrize("command", ["systemctl stop srv-data.mount", "systemd-run --wait umount /srv/data"])
    def test_a_hook_unmounts_for_everybody_with_the_words_that_the_unit_recommends(
        self, spotwatch: Installed, command: str
    ) -> None:
        assert command in (FILES / "spotwatch.service").read_text()
        spotwatch.container.path("/srv/data").mkdir(exist_ok=True)
        spotwatch.container.run("mount", "-t", "tmpfs", "tmpfs", "/srv/data")
        assert run_hook(spotwatch, command)["status"] == "succeeded", spotwatch.output("it")
        assert "/srv/data" not in spotwatch.container.run("cat", "/proc/1/mounts")

    def test_hooks_can_be_rehearsed_in_it_as_the_unit_describes(self, spotwatch: Installed) -> None:
        comments = (FILES / "spotwatch.service").read_text().replace("#     ", "")
        drop_in = re.findall(r"^\[Service\]\nExecStart=\nExecStart=.*\n", comments, re.MULTILINE)[0]
        (port,) = re.findall(r"^spotwatch simulate --serve --port (\d+)", comments, re.MULTILINE)
        spotwatch.drop_in(drop_in)
        spotwatch.simulate("--port", port, "--at", "0s terminate 60s")
        spotwatch.hooks(hook("touch /etc/flag"))
        spotwatch.start()
        (outcome,) = spotwatch.wait_for_report()["hooks"]
        assert outcome["status"] == "failed"
        assert "Read-only file system" in spotwatch.output("it")


def run_hook(spotwatch: Installed, command: str, **keys: str) -> dict[str, Any]:
    """Drain with this hook alone; what became of it."""
    spotwatch.hooks(hook(command, **keys))
    spotwatch.start()
    spotwatch.announce()
    (outcome,) = spotwatch.wait_for_report()["hooks"]
    assert isinstance(outcome, dict)
    return outcome


class TestUsers:
    def test_a_hook_runs_as_the_user_of_its_settings(self, spotwatch: Installed) -> None:
        assert run_hook(spotwatch, "id -un; id -gn", user="nobody")["status"] == "succeeded"
        assert spotwatch.output("it") == "nobody\nnogroup\n"

    def test_a_hook_of_another_user_sees_the_processes_that_it_waits_for(self, spotwatch: Installed) -> None:
        assert run_hook(spotwatch, "pgrep -f 'spotwatch simulat[e]'", user="nobody")["status"] == "succeeded"

    def test_the_user_of_our_own_is_there_for_hooks(self, spotwatch: Installed) -> None:
        run_hook(spotwatch, "id -un", user="spotwatch")
        assert spotwatch.output("it") == "spotwatch\n"

    def test_a_stray_process_of_another_user_is_ended_while_other_hooks_run(self, spotwatch: Installed) -> None:
        stray = hook("setsid sleep 12345 & sleep 0.3", "leaves-something", user="nobody")
        spotwatch.hooks(stray, hook("sleep 1; ! pgrep -f 'sleep 1234[5]'", "looks"))
        spotwatch.start()
        spotwatch.announce()
        assert spotwatch.wait_for_report()["verdict"] == "drained"


class TestUnprivileged:
    def test_all_of_it_works_without_root(self, spotwatch: Installed) -> None:
        spotwatch.drop_in((FILES / "spotwatch.service.d-unprivileged.conf").read_text())
        assert run_hook(spotwatch, "id -un; grep CapPrm /proc/self/status")["status"] == "succeeded"
        assert spotwatch.output("it") == "spotwatch\nCapPrm:\t0000000000000000\n"
        spotwatch.systemctl("reload", "spotwatch.service")
        spotwatch.wait_for_line("settings-reloaded")
        assert spotwatch.stop() < 1

    def test_who_is_in_its_group_may_ask_for_the_status(self, spotwatch: Installed) -> None:
        spotwatch.drop_in((FILES / "spotwatch.service.d-unprivileged.conf").read_text())
        run_hook(spotwatch, "true")
        member = ("setpriv", "--reuid=nobody", "--regid=spotwatch", "--clear-groups")
        assert "drained" in spotwatch.container.run(*member, "spotwatch", "status")

    def test_what_was_kept_as_root_stays_and_is_added_to(self, spotwatch: Installed) -> None:
        run_hook(spotwatch, "id -un")
        spotwatch.stop()
        spotwatch.drop_in((FILES / "spotwatch.service.d-unprivileged.conf").read_text())
        spotwatch.start()
        spotwatch.wait_for_line("drain-resumed")
        spotwatch.container.run("spotwatch", "drain", "--deadline", "30s")
        assert [report["verdict"] for report in spotwatch.reports()] == ["drained", "drained"]


class TestShutdown:
    """A container of its own, since it is powered off."""

    @pytest.fixture
    def spotwatch(self, tmp_path: Path) -> Iterator[Installed]:
        directory = tmp_path / "root"
        directory.mkdir()
        with booted(directory) as container:
            installed = Installed(container)
            installed.install()
            container.write("/etc/systemd/system/application.service", APPLICATION)
            installed.drop_in("[Unit]\nAfter=application.service\n")
            installed.systemctl("start", "application.service")
            yield installed

    @pytest.mark.slow
    def test_an_application_that_the_unit_comes_after_is_there_until_the_drain_has_ended(
        self, spotwatch: Installed
    ) -> None:
        self.power_off_during(spotwatch, "sleep 2")
        (report,) = spotwatch.reports()
        assert report["verdict"] == "drained"
        assert self.application_stopped(spotwatch) > seconds(report["ended_at"])

    @pytest.mark.slow
    def test_a_hook_can_stop_it_at_a_shutdown_with_the_words_that_the_unit_recommends(
        self, spotwatch: Installed
    ) -> None:
        words = "systemctl stop --job-mode=ignore-dependencies application"
        assert words.removesuffix("application") in (FILES / "spotwatch.service").read_text()
        self.power_off_during(spotwatch, f"sleep 1; {words}")
        (report,) = spotwatch.reports()
        assert report["verdict"] == "drained"
        assert report["hooks"][0]["seconds"] < 4
        assert self.application_stopped(spotwatch) < seconds(report["ended_at"])

    @pytest.mark.slow
    def test_without_them_it_waits_for_itself(self, spotwatch: Installed) -> None:
        """What the unit warns of."""
        self.power_off_during(spotwatch, "sleep 1; systemctl stop application", timeout="4s")
        (report,) = spotwatch.reports()
        assert report["verdict"] == "cut"

    def power_off_during(self, spotwatch: Installed, script: str, **keys: str) -> None:
        spotwatch.hooks(hook(f"touch {MET}; {script}", **keys))
        spotwatch.start()
        spotwatch.announce()
        spotwatch.wait_for_hook()
        spotwatch.systemctl("poweroff")
        spotwatch.container.wait_for_end()

    def application_stopped(self, spotwatch: Installed) -> float:
        return float(spotwatch.container.path("/var/tmp/application-stopped").read_text())


def seconds(time_stamp: str) -> float:
    return datetime.fromisoformat(time_stamp).timestamp()
