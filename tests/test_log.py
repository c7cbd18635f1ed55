"""What becomes of records that are hard to write."""

import io
import json
import os
import subprocess
import sys

from spotwatch.core.settings import LogFormat, LogSettings
from spotwatch.log import make_log

WRITER = """
import time
from spotwatch.core.settings import LogSettings
from spotwatch.log import make_log
log = make_log(LogSettings(), environ={})
began = time.monotonic()
for number in range(3000):
    log.info("record", number=number, filler="x" * 100)
print(time.monotonic() - began)
"""


def logged(settings: LogSettings, environ: dict[str, str], **values: object) -> str:
    stream = io.StringIO()
    make_log(settings, stream=stream, environ=environ).error("report", **values)
    return stream.getvalue()


def test_a_reader_that_has_stalled_holds_nothing_up() -> None:
    """A pipe takes 64 KiB, and these records are six times as much."""
    reader, writer = os.pipe()
    done = subprocess.run([sys.executable, "-c", WRITER], stdout=subprocess.PIPE, stderr=writer, check=True, timeout=30)
    os.close(writer)
    with open(reader, "rb") as pipe:
        assert pipe.read(1)
    assert float(done.stdout) < 5


def test_a_record_that_was_cut_spoils_no_other() -> None:
    reader, writer = os.pipe()
    subprocess.run([sys.executable, "-c", WRITER], stdout=subprocess.DEVNULL, stderr=writer, check=True, timeout=30)
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        lines = pipe.read().splitlines()
    assert all(line.count("record") <= 1 for line in lines)


def test_a_document_in_a_log_of_text_is_json() -> None:
    for environ in ({}, {"JOURNAL_STREAM": "8:1"}):
        line = logged(LogSettings(), environ, report={"verdict": "cut", "hooks": []})
        assert '{"verdict": "cut", "hooks": []}' in line


def test_a_document_in_a_log_of_json_is_an_object() -> None:
    line = logged(LogSettings(format=LogFormat.JSON), {}, report={"verdict": "cut"})
    assert json.loads(line)["report"] == {"verdict": "cut"}


def test_every_line_of_a_record_has_its_priority_in_the_journal() -> None:
    line = logged(LogSettings(), {"JOURNAL_STREAM": "8:1"}, message="two\nlines")
    assert all(part.startswith("<3>") for part in line.splitlines())
