"""What of the kernel's log is taken for trouble with a device."""

import os
from pathlib import Path

import pytest

from spotwatch.host.kernel_log import KERNEL_LOG, KernelLog
from tests.host.conftest import needs_root


def told_of(tmp_path: Path, *records: str) -> list[str]:
    """What is told of loop3 and nvme1n1 when these records come, one after the other."""
    path = tmp_path / "kmsg"
    path.write_text("3,1,1,-;EXT4-fs error (device loop3): from before\n")
    told = []
    with KernelLog(str(path)) as log, path.open("a", buffering=1) as kernel:
        for record in records:
            kernel.write(f"{record}\n")
            told += log.news(["loop3", "nvme1n1"])
    return told


@pytest.mark.parametrize(
    "text",
    [
        "EXT4-fs error (device loop3): htree_dirblock_to_tree:1051: inode #12: Directory block failed checksum",
        "JBD2: I/O error when updating journal superblock for loop3-8.",
        "Buffer I/O error on dev nvme1n1, logical block 15, async page read",
        "I/O error, dev loop3, sector 120 op 0x0:(READ) flags 0x80700",
        "XFS (loop3): Metadata CRC error detected at xfs_dir3_block_read_verify",
    ],
)
def test_a_warning_or_an_error_about_a_device_is_told(tmp_path: Path, text: str) -> None:
    assert told_of(tmp_path, f"4,77,123456,-;{text}") == [text]


@pytest.mark.parametrize(
    "record",
    [
        "6,1,1,-;EXT4-fs (loop3): recovery complete",
        "5,1,1,-;XFS (loop3): Starting recovery (logdev: internal)",
        "3,1,1,-;EXT4-fs error (device loop33): Directory block failed checksum",
        "3,1,1,-;EXT4-fs error (device loop3p1x): Directory block failed checksum",
        "3,1,1,-;EXT4-fs error (device xloop3): Directory block failed checksum",
        "4,1,1,-;EXT4-fs (loop3): warning: maximal mount count reached, running e2fsck is recommended",
        "4,1,1,-;XFS (loop3): Deprecated V4 format (crc=0) will not be supported after September 2030.",
        "rubbish about loop3",
        "",
    ],
)
def test_notes_and_other_devices_are_not_told(tmp_path: Path, record: str) -> None:
    assert told_of(tmp_path, record) == []


def test_btrfs_s_counters_of_earlier_errors_are_told_though_they_are_only_a_note(tmp_path: Path) -> None:
    text = "BTRFS info (device loop3): bdev /dev/loop3 errs: wr 0, rd 0, flush 0, corrupt 1, gen 0"
    assert told_of(tmp_path, f"6,1,1,-;{text}") == [text]


def test_the_lines_that_belong_to_a_record_are_no_part_of_its_message(tmp_path: Path) -> None:
    assert told_of(tmp_path, "3,1,1,-;I/O error, dev loop3\n SUBSYSTEM=block\n DEVICE=b7:3") == ["I/O error, dev loop3"]


def test_a_kernel_log_that_cannot_be_read_is_itself_told_once(tmp_path: Path) -> None:
    with KernelLog(str(tmp_path / "missing")) as log:
        assert log.news(["loop3"]) == [f"the kernel log {tmp_path}/missing cannot be read: No such file or directory"]
        assert log.news(["loop3"]) == []


@needs_root
@pytest.mark.skipif(not os.path.exists(KERNEL_LOG), reason="no /dev/kmsg")
def test_what_is_written_to_the_real_log_is_read() -> None:
    name = f"spotwatch{os.getpid()}"
    with KernelLog() as log:
        Path(KERNEL_LOG).write_text(f"<3>test: I/O error, dev {name}")
        Path(KERNEL_LOG).write_text(f"<6>test: hello {name}")
        assert log.news([name]) == [f"test: I/O error, dev {name}"]
        assert log.news([name]) == []
