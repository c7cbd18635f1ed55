"""A program in the foreground, and how it ended."""

from pathlib import Path

import pytest

from spotwatch.core.errors import CommandNotStarted
from spotwatch.host.programs import Programs


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 128 + 15), ("kill -KILL $$", 128 + 9)]
)
def test_the_exit_code_is_as_a_shell_tells_it(script: str, code: int) -> None:
    assert Programs().run(("/bin/sh", "-c", script)) == code


def test_its_stdin_is_empty() -> None:
    assert Programs().run(("/bin/sh", "-c", 'test -z "$(cat)"')) == 0


def test_it_stays_in_our_process_group_so_that_whoever_ends_us_ends_it() -> None:
    assert Programs().run(("/bin/sh", "-c", 'read -r _ _ _ _ group _ < /proc/self/stat; test "$group" != $$')) == 0


def test_its_output_is_ours(capfd: pytest.CaptureFixture[str]) -> None:
    Programs().run(("/bin/echo", "hello"))
    assert capfd.readouterr().out == "hello\n"


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [(None, 0, "No such file"), ("echo", 0o644, "Permission denied"), ("\0", 0o755, "Exec format error")],
)
def test_what_cannot_be_executed_is_told_with_its_reason(
    tmp_path: Path, content: str | None, mode: int, reason: str
) -> None:
    program = tmp_path / "program"
    if content is not None:
        program.write_text(content)
        program.chmod(mode)
    with pytest.raises(CommandNotStarted, match=f"{program} cannot be executed: {reason}"):
        Programs().run((str(program),))
