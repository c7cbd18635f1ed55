"""A sysfs of one's own: disks, partitions and what lies above them, as the kernel shows them."""

import os
from pathlib import Path


class FakeSys:
    """Builds /sys, /dev and mountinfo in a directory."""

    def __init__(self, root: Path) -> None:
        self.sys, self.dev, self.mountinfo = root / "sys", root / "dev", root / "mountinfo"
        for directory in ("block", "class/block", "dev/block", "devices"):
            (self.sys / directory).mkdir(parents=True)
        self.dev.mkdir()
        self.mountinfo.write_text("")
        self._minor = 0

    def disk(
        self, name: str, *, serial: str = "", model: str = "Amazon Elastic Block Store", on: tuple[str, ...] = ()
    ) -> str:
        """A whole disk; its number."""
        directory = self.sys / "devices" / name
        (directory / "slaves").mkdir(parents=True)
        for below in on:
            (directory / "slaves" / below).symlink_to(self.sys / "class/block" / below)
        self.attribute(directory, "device/serial", f"{serial}      \n" if serial else "")
        self.attribute(directory, "device/model", f"{model}\n" if serial else "")
        (self.sys / "block" / name).symlink_to(directory)
        return self._register(name, directory)

    def partition(self, disk: str, name: str) -> str:
        """A part of a disk; its number."""
        directory = self.sys / "devices" / disk / name
        directory.mkdir()
        self.attribute(directory, "partition", "1\n")
        return self._register(name, directory)

    def attribute(self, directory: Path, name: str, value: str) -> None:
        path = self.sys / "devices" / directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value)

    def mount(self, number: str, point: str, kind: str = "ext4", source: str = "/dev/x") -> None:
        with self.mountinfo.open("a") as file:
            file.write(f"36 35 {number} / {point} rw,noatime shared:1 master:2 - {kind} {source} rw\n")

    def _register(self, name: str, directory: Path) -> str:
        number = f"259:{self._minor}"
        self._minor += 1
        os.symlink(directory, self.sys / "class/block" / name)
        os.symlink(directory, self.sys / "dev/block" / number)
        return number
