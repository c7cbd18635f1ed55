"""Looking at a file system that may be frozen, without ever waiting for it."""

import contextlib
import errno
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from spotwatch.host import freeze
from tests.ship.images import make_filesystem, mounted_image

PATIENCE = 20.0


def is_frozen(root: Path) -> bool:
    """Found out by trying to freeze it, which is refused then."""
    with freeze.opened(str(root)) as descriptor:
        try:
            freeze.freeze(descriptor)
        except OSError as error:
            assert error.errno == errno.EBUSY, error
            return True
        freeze.thaw(descriptor)
        return False


def wait_until(condition: Callable[[], object]) -> None:
    """Look every few milliseconds until something is so."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up, "it never came to that"
        time.sleep(0.01)


@contextlib.contextmanager
def log_volume(path: Path, kind: str = "ext4") -> Iterator[Path]:
    """A file system of its own in a file, mounted; thawed and unmounted whatever the test has done to it."""
    make_filesystem(path, kind)
    with mounted_image(path, kind) as root:
        try:
            yield root
        finally:
            with contextlib.suppress(OSError), freeze.opened(str(root)) as descriptor:
                freeze.thaw(descriptor)
