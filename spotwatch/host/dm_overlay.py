"""The overlay of the device-mapper: a snapshot that is not kept, over the device, in a sparse file without a name.

What this survives: SIGKILL. Right after its making the device is marked for removal when its last user goes
(`dmsetup remove --deferred`), and its loop device clears itself. Killed in between, the device stays, under a name that
follows from the device below: the next run removes it.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from spotwatch.core.errors import OverlayUnavailable
from spotwatch.host.device import block_device, size_of
from spotwatch.host.loop import loop_device

_TOOL = "dmsetup"
_LOAD = ("modprobe", "dm_snapshot")
_LIMIT = 30
"""Seconds for one command; it takes milliseconds."""

_SECTOR = 512
_CHUNK = 8
"""Sectors that are copied as one: a block of 4 KiB, as the file systems write."""

_NAMES = ("spotwatch-{}", "spotwatch-{}-second")
"""Of the overlays over one device, which follow from its number. Two are needed at most: replayed, and repaired."""


@dataclass(frozen=True, slots=True)
class _Snapshot:
    device: str
    name: str

    def is_full(self) -> bool:
        # "0 SECTORS snapshot USED/TOTAL METADATA", or Invalid or Overflow in place of the figures.
        return any(word in _run("status", self.name).split() for word in ("Invalid", "Overflow"))


class DeviceMapperOverlays:
    """Makes overlays with the snapshot target; implements `spotwatch.host.overlay.Way`."""

    name = "dm-snapshot"

    def obstacle(self) -> str:
        """Why it cannot be used on this machine; empty if it can."""
        if shutil.which(_TOOL) is None:
            return f"{_TOOL} missing"
        with contextlib.suppress(OSError, subprocess.SubprocessError):  # it may be built in, or loaded already
            subprocess.run(_LOAD, capture_output=True, timeout=_LIMIT, check=False)
        if not _is_in_kernel():
            return "the kernel has no device-mapper"
        targets = _run("targets")
        names = [line.split()[0] for line in targets.splitlines() if line]
        return "" if "snapshot" in names else "the kernel has no snapshot target"

    @contextlib.contextmanager
    def over(self, device: str, *, scratch: str, limit: int) -> Iterator[_Snapshot]:
        """See `spotwatch.host.overlay.Way.over`."""
        with contextlib.ExitStack() as stack:
            try:
                store = stack.enter_context(tempfile.TemporaryFile(dir=scratch))
                os.truncate(store.fileno(), limit)
                loop = stack.enter_context(loop_device(store.fileno(), read_only=False))
                snapshot = stack.enter_context(_snapshot(device, loop))
            except OSError as error:
                raise OverlayUnavailable(f"no overlay over {device}: {error}", hint="see the kernel log") from None
            yield snapshot


@contextlib.contextmanager
def _snapshot(device: str, store: str) -> Iterator[_Snapshot]:
    name = _free_name(device)
    # N: not persistent; the table of copied chunks is kept in memory (admin-guide/device-mapper/snapshot.rst).
    table = f"0 {size_of(device) // _SECTOR} snapshot {device} {store} N {_CHUNK}"
    _run("create", name, "--noudevsync", "--table", table)
    try:
        minor = _run("info", "--columns", "--noheadings", "-o", "minor", name).strip()
        node = f"/dev/dm-{minor}"
        holder = os.open(node, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _run("remove", "--deferred", "--noudevsync", name)
            yield _Snapshot(node, name)
        finally:
            os.close(holder)
    finally:
        _remove(name)


def _free_name(device: str) -> str:
    number = block_device(device).number.replace(":", "-")
    taken = {line.split()[0] for line in _run("ls").splitlines() if line}
    free = [name for pattern in _NAMES if (name := pattern.format(number)) not in taken]
    if not free:
        raise OverlayUnavailable(f"{device} has its overlays already", hint="dmsetup ls shows them")
    return free[0]


def remove_stale(device: str) -> list[str]:
    """Remove what an earlier, killed life has left over a device; the names of what was removed.

    Those that somebody uses stay. Nothing happens where there is no device-mapper.
    """
    if shutil.which(_TOOL) is None or not _is_in_kernel():
        return []
    number = block_device(device).number.replace(":", "-")
    taken = {line.split()[0] for line in _run("ls").splitlines() if line}
    return [name for pattern in _NAMES if (name := pattern.format(number)) in taken and _remove(name)]


def _is_in_kernel() -> bool:
    with open("/proc/misc", encoding="ascii") as file:  # proc(5): drivers on the miscellaneous major number
        return any(line.split()[-1:] == ["device-mapper"] for line in file)


def _remove(name: str) -> bool:
    """Whether it is gone by this; it may be gone already."""
    with contextlib.suppress(OverlayUnavailable):
        _run("remove", "--noudevsync", "--retry", name)
        return True
    return False


def _run(*words: str) -> str:
    try:
        run = subprocess.run([_TOOL, *words], capture_output=True, text=True, timeout=_LIMIT, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise OverlayUnavailable(f"{_TOOL}: {error}", hint="is the device-mapper stuck? see dmsetup info") from None
    if run.returncode != 0:
        raise OverlayUnavailable(f"{_TOOL} {words[0]}: {run.stderr.strip()}", hint="run as root; see the kernel log")
    return run.stdout
