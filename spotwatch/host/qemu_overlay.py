"""The overlay where the kernel has no device-mapper: qcow2, served by qemu-storage-daemon as a file, seen as a disk.

    device (read-only) ◄── qcow2 in a file without a name ◄── qemu-storage-daemon ──► FUSE file ──► loop device

What this survives: SIGKILL at any moment. The qcow2 file has no name; the FUSE mount is in a mount namespace that only
the server has; the server is killed by the kernel when we end; the loop device clears itself. Nothing is ever visible
to others, and nothing stays.
"""

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from spotwatch.core.errors import OverlayUnavailable
from spotwatch.host import qemu_launcher
from spotwatch.host.device import size_of
from spotwatch.host.loop import loop_device

_IMAGE_TOOL = "qemu-img"
_SERVER = "qemu-storage-daemon"
_START_LIMIT = 30
"""Seconds; it takes 0.06."""

_EXPORT = "spotwatch-overlay-{}"
"""Name of the file that the server for this process shows; losetup(8) lists it."""

_SLACK: Final = 1 << 20
"""Bytes from the limit at which it counts as reached: qcow2 takes room by clusters of 64 KiB, several for one write."""


@dataclass(frozen=True, slots=True)
class _QemuOverlay:
    device: str
    store: int
    limit: int

    def is_full(self) -> bool:
        free = os.fstatvfs(self.store)
        room = min(self.limit - os.fstat(self.store).st_size, free.f_bavail * free.f_frsize)
        return room < _SLACK


class QemuOverlays:
    """Makes overlays with qemu; implements `spotwatch.host.overlay.Way`.

    To be used by a thread that does not end before the overlay does: the server is tied to it (PR_SET_PDEATHSIG).
    """

    name = "qemu"

    def obstacle(self) -> str:
        """Why it cannot be used on this machine; empty if it can."""
        missing = [program for program in (_IMAGE_TOOL, _SERVER) if shutil.which(program) is None]
        missing += [node for node in ("/dev/fuse", "/dev/loop-control") if not os.path.exists(node)]
        return f"{' and '.join(missing)} missing" if missing else ""

    @contextlib.contextmanager
    def over(self, device: str, *, scratch: str, limit: int) -> Iterator[_QemuOverlay]:
        """See `spotwatch.host.overlay.Way.over`."""
        with contextlib.ExitStack() as stack:
            try:
                store = stack.enter_context(tempfile.TemporaryFile(dir=scratch))
                _make_store(store, size_of(device))
                export = stack.enter_context(_served(device, store, scratch, limit))
                with open(export, "r+b", buffering=0) as file:
                    loop = stack.enter_context(loop_device(file.fileno(), read_only=False))
            except (OSError, subprocess.SubprocessError) as error:
                raise OverlayUnavailable(f"no overlay over {device}: {error}", hint="see the kernel log") from None
            yield _QemuOverlay(loop, store.fileno(), limit)


def _make_store(store: BinaryIO, size: int) -> None:
    path = f"/proc/self/fd/{store.fileno()}"
    argv = [_IMAGE_TOOL, "create", "-q", "-f", "qcow2", path, str(size)]
    run = subprocess.run(
        argv,
        pass_fds=[store.fileno()],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_START_LIMIT,
        check=False,
    )
    if run.returncode != 0:
        said = run.stderr.decode(errors="replace").strip().rpartition(": ")[2]
        raise OverlayUnavailable(
            f"the file that the replay of the journal writes to cannot be made: {said}",
            hint="see whether there is room in the scratch space, or name another with --scratch or ship.scratch",
        )


@contextlib.contextmanager
def _served(device: str, store: BinaryIO, scratch: str, limit: int) -> Iterator[str]:
    """The path of the file that the server shows."""
    name = _EXPORT.format(os.getpid())
    export_path = os.path.join(scratch, name)
    launcher = (sys.executable, "-I", "-S", qemu_launcher.__file__, str(os.getpid()), scratch, name, str(limit))
    output, its_output = os.pipe()
    with open(output, "rb") as said:
        with open(its_output, "wb") as saying:
            server = subprocess.Popen(
                [*launcher, *_server_words(device, store.fileno(), export_path)],
                pass_fds=[store.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=saying,
                stderr=subprocess.STDOUT,
            )
        with server:
            try:
                _wait_until_ready(said)
                # Its mount is in its own namespace, into which only /proc leads.
                yield f"/proc/{server.pid}/root{export_path}"
            finally:
                server.kill()


def _server_words(device: str, store: int, export: str) -> list[str]:
    """The server's command; nodes in order, and the monitor last, so that its greeting says that all of it is there."""
    base = {"driver": "host_device", "node-name": "base", "filename": device, "read-only": True}
    file = {"driver": "file", "node-name": "store", "filename": f"/proc/self/fd/{store}"}
    cow = {"driver": "qcow2", "node-name": "cow", "file": "store", "backing": "base"}
    fuse = {"type": "fuse", "id": "export", "node-name": "cow", "mountpoint": export, "writable": True}
    nodes = [word for node in (base, file, cow) for word in ("--blockdev", json.dumps(node))]
    return [_SERVER, *nodes, "--export", json.dumps(fuse), "--chardev", "stdio,id=io", "--monitor", "chardev=io"]


def _wait_until_ready(output: BinaryIO) -> None:
    ready, _, _ = select.select([output], [], [], _START_LIMIT)
    said = output.readline().decode(errors="replace").strip() if ready else "it does not answer"
    if not said.startswith('{"QMP"'):
        raise OverlayUnavailable(f"{_SERVER} did not start: {said}", hint="is qemu older than 6.0, or /dev/fuse shut?")
