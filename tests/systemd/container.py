"""A container with a real systemd as process 1, made from this machine's own /usr in half a second.

Its root is an empty directory. Mounted into it, read-only: /usr, the interpreter, the package; `spotwatch` is in
/usr/local/bin. /etc holds what systemd needs and what a test writes. It has a network of its own, in which the metadata
service's address is free. Whatever runs in it is in one control group, so nothing outlives `booted`.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import spotwatch

METADATA_ADDRESS = "169.254.169.254"

TOOLS = ("systemd-nspawn", "systemctl", "journalctl", "dbus-daemon", "nsenter", "unshare", "ip", "ps")
PACKAGES = "systemd systemd-container dbus util-linux iproute2 procps"

Found = TypeVar("Found")

BOOT_SECONDS = 30.0
PATIENCE_SECONDS = 20.0

BOOT = """
cgroup=$1; shift
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs /run/systemd
echo $$ > "/sys/fs/cgroup/$cgroup/cgroup.procs"
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
exec systemd-nspawn "$@"
"""
"""Nobody else sees the mounts that are changed here. systemd-nspawn is to see the unified hierarchy only, no service
manager that it would have to register with. It is told that the container's systemd is new enough for that hierarchy,
because it looks before it has mounted /usr; on the old one no service is ever known to be empty."""

PROGRAM = f"""\
#!{sys.executable}
import sys

from spotwatch.cli import main

sys.exit(main())
"""
"""What pip would install."""

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}

PAM = """\
auth sufficient pam_rootok.so
account required pam_permit.so
session required pam_permit.so
"""
"""What su and runuser go through."""

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
GROUP = "root:x:0:\nnogroup:x:65534:\n"

DIRECTORIES = "etc/systemd/system opt/bin proc root run sys tmp usr var/lib var/log var/tmp"

UNWANTED = (
    "console-getty.service",
    "getty.target",
    "systemd-logind.service",
    "systemd-networkd.service",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
    "systemd-update-utmp.service",
    "systemd-update-utmp-runlevel.service",
)
"""Units of /usr that no test needs."""


def missing() -> str:
    """Why no container can be made here; empty if one can."""
    if os.geteuid() != 0:
        return "a container needs root"
    tools = [tool for tool in TOOLS if shutil.which(tool) is None]
    if tools:
        return f"not installed: {', '.join(tools)} (Debian: apt-get install {PACKAGES})"
    if not any(os.access(mount, os.W_OK) for mount in _cgroup2_mounts()):
        return "no cgroup2 hierarchy is mounted that can be written to"
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0:
        return "no mount namespace can be made here"
    return ""


@contextmanager
def booted(root: Path) -> Iterator["Container"]:
    """A container whose root is this empty directory, from the moment its systemd has nothing left to do."""
    _furnish(root)
    console = root.with_suffix(".console")
    with _control_group() as group, _nspawn(root, group, console) as nspawn:
        try:
            leader = wait_for(lambda: _process_1(nspawn, group), "a process 1", BOOT_SECONDS)
            container = Container(root, leader, nspawn)
            wait_for(container.is_up, "systemd", BOOT_SECONDS)
        except BaseException as error:
            error.add_note(console.read_text(errors="replace"))
            raise
        container.run("ip", "addr", "add", f"{METADATA_ADDRESS}/32", "dev", "lo")
        yield container


@dataclass(frozen=True)
class Container:
    """A container that runs.

    Attributes:
        root: its root directory.
        leader: its process 1, as a number of ours.
        nspawn: what ends when it ends.
    """

    root: Path
    leader: int
    nspawn: subprocess.Popen[bytes]

    def is_up(self) -> bool:
        """Whether its systemd has nothing left to do."""
        return self.run("systemctl", "is-system-running", check=False).strip() in {"running", "degraded"}

    def wait_for_end(self) -> None:
        """Wait until it has powered itself off."""
        self.nspawn.wait(PATIENCE_SECONDS)

    def run(self, *words: str, check: bool = True) -> str:
        """Run a command in it, as root; what it printed."""
        done = subprocess.run(
            ["nsenter", "--target", str(self.leader), "--all", "--", *words],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert not check or done.returncode == 0, f"{words} ended with {done.returncode}: {done.stdout}"
        return done.stdout

    def path(self, path: str) -> Path:
        """The file that has this path in it."""
        return self.root / path.lstrip("/")

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file in it."""
        file = self.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)


def wait_for(look: Callable[[], Found], what: str, seconds: float = PATIENCE_SECONDS) -> Found:
    """Look until there is something; answers it."""
    give_up = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < give_up, f"waited {seconds} s in vain for {what}"
        time.sleep(0.02)
    return found


@contextmanager
def _control_group() -> Iterator[Path]:
    """The directory of a new control group below our own, in the unified hierarchy."""
    with open("/proc/self/cgroup", encoding="ascii") as file:
        ours = next(line.rstrip("\n").removeprefix("0::/") for line in file if line.startswith("0::/"))
    group = tempfile.mkdtemp(prefix="spotwatch-test-", dir=_cgroup2_mounts()[0] / ours)
    try:
        yield Path(group)
    finally:
        for directory, _, _ in os.walk(group, topdown=False):
            os.rmdir(directory)


@contextmanager
def _nspawn(root: Path, group: Path, console: Path) -> Iterator[subprocess.Popen[bytes]]:
    boot = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", BOOT, "boot"]
    boot.append(str(group.relative_to(_cgroup2_mounts()[0])))
    settings = ["--boot", "--quiet", "--register=no", "--keep-unit", "--private-network", "--link-journal=no"]
    settings += ["--resolv-conf=off", "--timezone=off", "--machine=spot", f"--directory={root}"]
    settings += [f"--bind-ro={path}" for path in _bound()]
    settings.append(f"--overlay-ro=/usr/local/bin:{root}/opt/bin:/usr/local/bin")
    with console.open("wb") as output:
        nspawn = subprocess.Popen(
            [*boot, *settings], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield nspawn
    finally:
        wait_for(lambda: not _kill(group), "the end of the container's processes")
        nspawn.wait()


def _pids(group: Path) -> Iterator[int]:
    """The processes in a control group and below it."""
    for file in group.rglob("cgroup.procs"):
        with contextlib.suppress(OSError):  # that group is gone
            yield from map(int, file.read_text().split())


def _kill(group: Path) -> list[int]:
    """Send SIGKILL to all processes of a control group; answers which there were."""
    pids = list(_pids(group))
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return pids


def _process_1(nspawn: subprocess.Popen[bytes], group: Path) -> int:
    """The container's process 1, 0 if it is not there yet."""
    assert nspawn.poll() is None, "systemd-nspawn has ended"
    return next(filter(_is_process_1, _pids(group)), 0)


def _cgroup2_mounts() -> list[Path]:
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        return [Path(line.split()[1]) for line in mounts if line.split()[2] == "cgroup2"]


def _is_process_1(pid: int) -> bool:
    """Whether it is the container's process 1 and systemd already, so that its namespaces are complete."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return False
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return fields["Name"].strip() == "systemd" and fields["NSpid"].split()[1:] == ["1"]


def _bound() -> list[str]:
    """What of this machine is seen in the container, at the same place, read-only."""
    paths = {"/usr", sys.base_prefix, sys.prefix, str(Path(spotwatch.__file__).parent)}
    return sorted(path for path in paths if path == "/usr" or not path.startswith("/usr/"))


def _furnish(root: Path) -> None:
    """Make the directories and files that a system has outside /usr."""
    for directory in DIRECTORIES.split():
        (root / directory).mkdir(parents=True)
    root.chmod(0o755)
    for link in ("bin", "lib", "lib32", "lib64", "sbin"):
        if Path("/", link).is_symlink():
            (root / link).symlink_to(f"usr/{link}")
    program = root / "opt/bin/spotwatch"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    etc = root / "etc"
    (etc / "passwd").write_text(PASSWD)
    (etc / "group").write_text(GROUP)
    (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n")
    (etc / "pam.d").mkdir()
    for name in ("su", "runuser"):
        (etc / "pam.d" / name).write_text(PAM)
    (etc / "os-release").write_text("ID=spotwatch-test\n")
    (etc / "machine-id").write_text(f"{os.getpid():032x}\n")
    for unit in UNWANTED:
        (etc / "systemd/system" / unit).symlink_to("/dev/null")
