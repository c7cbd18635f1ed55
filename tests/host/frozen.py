"""Looking at a file system that may be frozen, without ever waiting for it."""

import contextlib
import errno
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from spotwatch.host import freeze
from tests.ship.images import attached, make_filesystem

PATIENCE = 20.0


def is_frozen(root: Path) -> bool:
    """Found out by trying to freeze it, which is refused then."""
    with freeze.opened(str(root)) as descriptor:
        try:
            freeze.freeze(descriptor)
        except OSError as error:
            if error.errno == errno.EBUSY:
                return True
            raise
        freeze.thaw(descriptor)
        return False


def wait_until(condition: Callable[[], object]) -> None:
    """Look every few milliseconds until something is so."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up, "it never came to that"
        time.sleep(0.01)


@contextlib.contextmanager
def mounted(path: Path, kind: str) -> Iterator[Path]:
    """A disk image, mounted beside itself; thawed and unmounted whatever the test has done to it."""
    point = path.with_name(f"{path.name}.mnt")
    point.mkdir(exist_ok=True)
    with attached(path) as loop:
        subprocess.run(["mount", "-t", kind, *(("-o", "nouuid") if kind == "xfs" else ()), loop, point], check=True)
        try:
            yield point
        finally:
            with contextlib.suppress(OSError), freeze.opened(str(point)) as descriptor:
                freeze.thaw(descriptor)
            subprocess.run(["umount", point], check=True)


@contextlib.contextmanager
def log_volume(path: Path, kind: str = "ext4") -> Iterator[Path]:
    """A file system of its own in a file, mounted."""
    make_filesystem(path, kind)
    with mounted(path, kind) as root:
        yield root
