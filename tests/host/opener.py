"""Opens a volume and is killed on the way: ``python -m tests.host.opener IMAGE SCRATCH POINT``.

Points are counted at Python's audit events: each file opened, program started, ioctl. Without being killed it prints
how many there were.
"""

import os
import signal
import sys

from spotwatch.host.opened_volume import WAYS, open_volume


class Points:
    """Counts what happens, and ends the process at one of it."""

    def __init__(self, last: int) -> None:
        self.count = 0
        self._last = last

    def __call__(self, event: str, _: tuple[object, ...]) -> None:
        if event in ("open", "subprocess.Popen", "fcntl.ioctl", "os.truncate", "os.scandir"):
            self.count += 1
            if self.count == self._last:
                os.kill(os.getpid(), signal.SIGKILL)


def main(image: str, scratch: str, last: str) -> None:
    points = Points(int(last))
    sys.addaudithook(points)
    with open_volume(image, scratch=scratch, ways=WAYS) as volume:
        for found in volume.tree.files():
            with volume.tree.open(found.path) as file:
                file.read()
    print(points.count)


if __name__ == "__main__":
    main(*sys.argv[1:])
