"""Which paths a pattern is about."""

import pytest

from spotwatch.ship.patterns import LogPatterns


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("log/*.log", "log/app.log", True),
        ("log/*.log", "log/deep/app.log", False),
        ("log/**/*.log", "log/app.log", True),
        ("log/**/*.log", "log/very/deep/app.log", True),
        ("**/*.log", "app.log", True),
        ("log/**", "log/deep/anything", True),
        ("log/**", "logs/anything", False),
        ("/log/app.log", "log/app.log", True),
        ("log/app?.log", "log/app1.log", True),
        ("log/app?.log", "log/app/.log", False),
        ("log/[ab]*", "log/b.txt", True),
        ("log/[!ab]*", "log/b.txt", False),
        ("log/[!ab]*", "log/c.txt", True),
        ("log/[z-a]", "log/[z-a]", True),
        ("log/[", "log/[", True),
        ("log/a.b", "log/axb", False),
        ("log/app.log", "log/app.log.1", True),
        ("log/app.log", "log/app.log.12.gz", True),
        ("log/app.log", "log/app.log-20260823", True),
        ("log/app.log", "log/app.log-20260823.zst", True),
        ("log/app.log", "log/app.log.2026-08-23_14-05.gz", True),
        ("log/app.log", "log/app.log.old", True),
        ("log/app.log", "log/app.log.gz", True),
        ("log/app.log", "log/app.logger", False),
        ("log/app.log", "log/app.log.d/1", False),
        ("log/*.log", "log/line\nbreak.log", True),
        ("log/*.log", "log/\udcff.log", True),
    ],
)
def test_a_pattern_is_about_a_path(pattern: str, path: str, expected: bool) -> None:
    assert LogPatterns([pattern]).match(path) is expected


def test_no_patterns_are_about_everything() -> None:
    assert LogPatterns([]).match("anything/at all")
