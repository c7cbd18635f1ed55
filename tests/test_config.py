"""Settings files: what loads, what it becomes, and what every kind of mistake is told."""

import os
import string
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spotwatch.config import HOOK_READERS, drop_in_directory, load
from spotwatch.core.errors import SettingsError
from spotwatch.core.event import EVENT_NAMES, EventKind
from spotwatch.core.hook import DEFAULT_EVENTS, Hook, OnFailure
from spotwatch.core.settings import LogFormat, Settings

BUILTINS = ("run-parts",)

HOOK = '[[hook]]\nname = "a"\ncommand = ["/bin/true"]\n'

EXAMPLE = """\
[metadata]
endpoint = "http://169.254.169.254"
poll_interval = "2s"

[state]
directory = "/var/lib/spotwatch"

[[hook]]
name = "stop-taking-jobs"
on = ["rebalance", "terminate"]
stage = 10
command = ["/usr/local/bin/stop-taking-jobs", "--now"]
timeout = "20s"
reserve = "5s"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "spotwatch.toml"


@pytest.fixture
def read(file: Path) -> Callable[..., Settings]:
    """Load a document, with what the command line overrides."""

    def read(text: str, *overrides: str) -> Settings:
        file.write_text(text, encoding="utf-8")
        return load(file, builtins=BUILTINS, overrides=overrides)

    return read


@pytest.fixture
def drop_in(file: Path) -> Callable[[str, str], Path]:
    """Put a file into the directory of drop-ins."""

    def put(name: str, text: str) -> Path:
        drop_in_directory(file).mkdir(exist_ok=True)
        path = drop_in_directory(file) / name
        path.write_text(text, encoding="utf-8")
        return path

    return put


@pytest.fixture
def mistakes(read: Callable[..., Settings], file: Path) -> Callable[..., list[str]]:
    """The mistakes in a document, without the name of the file that each begins with."""

    def find(text: str, *overrides: str) -> list[str]:
        with pytest.raises(SettingsError) as caught:
            read(text, *overrides)
        return [mistake.removeprefix(f"{file}: ") for mistake in caught.value.mistakes]

    return find


Read = Callable[..., Settings]
Mistakes = Callable[..., list[str]]
DropIn = Callable[[str, str], Path]


class TestWhatLoads:
    def test_the_example_of_the_readme(self, read: Read) -> None:
        loaded = read(EXAMPLE)
        assert loaded.hooks == (
            Hook(
                name="stop-taking-jobs",
                on=frozenset({EventKind.REBALANCE, EventKind.TERMINATE}),
                stage=10,
                command=("/usr/local/bin/stop-taking-jobs", "--now"),
                timeout=20.0,
                reserve=5.0,
            ),
        )
        assert loaded.metadata == Settings().metadata
        assert loaded.state == Settings().state

    def test_an_empty_file_is_all_defaults(self, read: Read) -> None:
        assert read("") == Settings()

    def test_a_hook_that_does_not_say_what_it_is_for_is_for_every_interruption(self, read: Read) -> None:
        (hook,) = read(HOOK).hooks
        assert hook.on == DEFAULT_EVENTS == {EventKind.TERMINATE, EventKind.STOP, EventKind.HIBERNATE}

    def test_every_key_of_a_hook(self, read: Read) -> None:
        (hook,) = read(
            '[[hook]]\nname = "a"\non = ["start"]\nstage = -1\ncommand = ["/bin/a"]\ntimeout = "1m30s"\n'
            'reserve = "500ms"\nstart_before = "20s"\non_failure = "stop"\nalways = true\nuser = 1000\n'
            'group = "adm"\ndirectory = "/srv"\nenvironment = { LANG = "C", EMPTY = "" }'
        ).hooks
        assert hook == Hook(
            name="a",
            on=frozenset({EventKind.START}),
            stage=-1,
            command=("/bin/a",),
            timeout=90.0,
            reserve=0.5,
            start_before=20.0,
            on_failure=OnFailure.STOP,
            always=True,
            user="1000",
            group="adm",
            directory="/srv",
            environment={"LANG": "C", "EMPTY": ""},
        )

    def test_a_hook_may_be_in_the_background(self, read: Read) -> None:
        (hook,) = read(f"{HOOK}background = true").hooks
        assert hook.background

    @pytest.mark.parametrize("arguments", [[], ["--exit-on-error", "/etc/drain.d"]])
    def test_a_built_in_becomes_a_command_that_nothing_in_its_directory_can_shadow(
        self, read: Read, arguments: list[str]
    ) -> None:
        (hook,) = read(f'[[hook]]\nname = "a"\nuse = "run-parts"\nargs = {arguments}').hooks
        assert hook.command == (sys.executable, "-P", "-m", "spotwatch", "hook", "run-parts", *arguments)

    def test_off_is_an_interval(self, read: Read) -> None:
        assert read('[metadata]\nrebalance_interval = "off"').metadata.rebalance_interval is None

    def test_a_file_that_was_not_named_may_be_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("spotwatch.config.DEFAULT_PATH", tmp_path / "missing.toml")
        assert load(None, builtins=()) == Settings()


class TestDropIns:
    def test_later_files_win_key_by_key_in_the_order_of_their_names(self, read: Read, drop_in: DropIn) -> None:
        drop_in("20-b.toml", '[metadata]\npoll_interval = "4s"')
        drop_in("10-a.toml", '[metadata]\npoll_interval = "3s"\ntimeout = "500ms"')
        metadata = read('[metadata]\npoll_interval = "1s"\ntimeout = "2s"\nimdsv1 = true').metadata
        assert (metadata.poll_interval, metadata.timeout, metadata.imdsv1) == (4.0, 0.5, True)

    def test_their_hooks_are_added(self, read: Read, drop_in: DropIn) -> None:
        drop_in("b.toml", HOOK.replace('"a"', '"b"'))
        assert [hook.name for hook in read(HOOK).hooks] == ["a", "b"]

    @pytest.mark.parametrize("name", ["a.conf", "a.toml.bak", "a.toml~", ".a.toml"])
    def test_other_and_hidden_files_are_not_read(self, read: Read, drop_in: DropIn, name: str) -> None:
        drop_in(name, "this is no TOML")
        assert read("") == Settings()

    def test_two_hooks_of_one_name_are_refused_with_both_places(
        self, mistakes: Mistakes, drop_in: DropIn, file: Path
    ) -> None:
        path = drop_in("b.toml", HOOK)
        assert mistakes(HOOK) == [
            f'{path}: hook 1 (a): name: "a" is also the name of {file}: hook 1; every hook needs its own'
        ]

    def test_a_link_to_nowhere_is_a_mistake(self, mistakes: Mistakes, file: Path) -> None:
        drop_in_directory(file).mkdir()
        link = drop_in_directory(file) / "a.toml"
        link.symlink_to("missing")
        assert mistakes("") == [f"{link}: there is no such file"]

    def test_mistakes_of_all_files_come_at_once(self, mistakes: Mistakes, drop_in: DropIn) -> None:
        paths = [drop_in(name, "x = 1") for name in ("a.toml", "b.toml")]
        found = mistakes("[metadata]\ntimeout = 1")
        assert found[0].startswith("metadata.timeout: ")
        assert [mistake.partition(": ")[0] for mistake in found[1:]] == [str(path) for path in paths]


class TestFilesThatCannotBeRead:
    def test_a_named_file_that_is_missing(self, file: Path) -> None:
        with pytest.raises(SettingsError) as caught:
            load(file, builtins=())
        assert caught.value.mistakes == (f"{file}: there is no such file",)

    @pytest.mark.parametrize("path", ["/", ".", "", "/dev/zero"])
    def test_a_directory_and_a_device_that_never_ends(self, path: str) -> None:
        with pytest.raises(SettingsError) as caught:
            load(Path(path), builtins=())
        assert caught.value.mistakes == (f"{Path(path)}: cannot be read: Not a regular file",)

    def test_a_fifo_that_nobody_writes_to(self, file: Path) -> None:
        os.mkfifo(file)
        with pytest.raises(SettingsError) as caught:
            load(file, builtins=())
        assert caught.value.mistakes == (f"{file}: cannot be read: Not a regular file",)

    def test_a_text_that_is_not_utf_8(self, file: Path) -> None:
        file.write_bytes(b'[log]\nlevel = "\xe9"')
        with pytest.raises(SettingsError, match=r"1 mistake in the settings"):
            load(file, builtins=())

    @pytest.mark.parametrize(
        ("text", "place"),
        [
            ("[metadata\n", "line 1, column 10"),
            ('[log]\nlevel = "info\n', "line 2"),
            ("[log]\n[log]\n", "line 2"),
            ("a = 1\na = 2\n", "line 2"),
            ("a = ", "end of document"),
        ],
    )
    def test_what_is_no_toml_is_told_with_its_line(self, mistakes: Mistakes, text: str, place: str) -> None:
        (mistake,) = mistakes(text)
        assert mistake.startswith("this is not TOML: ")
        assert place in mistake

    @pytest.mark.parametrize("text", ["a = " + "9" * 5000, "a = " + "[" * 5000], ids=["number", "nesting"])
    def test_what_has_no_end_is_no_toml_either(self, mistakes: Mistakes, text: str) -> None:
        (mistake,) = mistakes(text)
        assert mistake.startswith("this is not TOML: ")


class TestMistakes:
    def test_every_mistake_is_told_at_once(self, mistakes: Mistakes) -> None:
        found = mistakes(
            '[metadata]\nendpoint = "https://example.com"\npol_interval = "2s"\n[drain]\nmargin = 3\n'
            '[[hook]]\nname = "a"\n[[hook]]\ncommand = ["x"]\ntimeout = "soon"\n'
        )
        assert [mistake.partition(": ")[0] for mistake in found] == [
            "metadata.endpoint",
            "metadata.pol_interval",
            "drain.margin",
            "hook 1 (a)",
            "hook 2",
            "hook 2",
        ]

    @pytest.mark.parametrize(
        ("text", "key", "cure"),
        [
            ("[metadata]\npol_interval = 1", "metadata.pol_interval", 'did you mean "poll_interval"?'),
            ("[metdata]", "metdata", 'did you mean "metadata"?'),
            ("[[hooks]]", "hooks", 'did you mean "hook"?'),
            ("[drain.limits]", "drain.limits", 'did you mean "limit"?'),
            ("zzz = 1", "zzz", "known are drain, hook, log, metadata, ship, state"),
            ("metadata = 1", "metadata", "this is a table; write [metadata] and its keys below"),
            ("[drain]\nlimit = 3", "drain.limit", "write [drain.limit]"),
            ("[metadata]\npoll_interval = 2", "metadata.poll_interval", 'such as "20s"'),
            ('[metadata]\npoll_interval = "2"', "metadata.poll_interval", 'such as "500ms", "20s"'),
            ('[metadata]\npoll_interval = "1ms"', "metadata.poll_interval", 'at least "100ms"'),
            ('[metadata]\npoll_interval = "off"', "metadata.poll_interval", "is not a duration"),
            ('[metadata]\nrebalance_interval = "of"', "metadata.rebalance_interval", 'or "off"'),
            ('[metadata]\ntimeout = "0s"', "metadata.timeout", "longer than zero"),
            ('[metadata]\nimdsv1 = "yes"', "metadata.imdsv1", "write true or false, without quotes"),
            ('[metadata]\nendpoint = "169.254.169.254"', "metadata.endpoint", '"http://169.254.169.254"'),
            ('[metadata]\nendpoint = "http://a:0"', "metadata.endpoint", '"http://169.254.169.254"'),
            ('[metadata]\nendpoint = "http://a/latest"', "metadata.endpoint", '"http://169.254.169.254"'),
            ('[state]\ndirectory = "state"', "state.directory", "write an absolute path"),
            ('[state]\noutput_limit = "1 PB"', "state.output_limit", 'such as "1MiB"'),
            ("[state]\nkeep_drains = 0", "state.keep_drains", "at least 1"),
            ("[state]\nkeep_drains = 1.5", "state.keep_drains", "a whole number, without quotes"),
            ('[drain.limit]\nterminate = "3m"', "drain.limit.terminate", 'write at most "2m"'),
            ('[log]\nlevel = "INFO"', "log.level", 'write one of "debug", "info", "warning", "error"'),
            ("[log]\nformat = 1979-05-27", "log.format", 'write one of "text", "json"'),
        ],
    )
    def test_a_wrong_setting_is_told_with_its_key_and_its_cure(
        self, mistakes: Mistakes, text: str, key: str, cure: str
    ) -> None:
        (mistake,) = mistakes(text)
        assert mistake.startswith(f"{key}: ")
        assert cure in mistake

    @pytest.mark.parametrize(
        ("line", "key", "cure"),
        [
            ('onn = ["stop"]', "onn", 'did you mean "on"?'),
            ('on = ["terminat"]', "on", 'did you mean "terminate"?'),
            ('on = "terminate"', "on", 'write a list of texts, such as on = ["terminate"]'),
            ("on = []", "on", 'write a list of texts, such as on = ["terminate"]'),
            ('stage = "10"', "stage", "a whole number, without quotes"),
            ("stage = true", "stage", "a whole number, without quotes"),
            ("timeout = 20", "timeout", 'such as "20s"'),
            ('timeout = "0s"', "timeout", "longer than zero"),
            ('reserve = "-1s"', "reserve", "is not a duration"),
            ('on_failure = "ignore"', "on_failure", 'write one of "continue", "stop"'),
            ('always = "no"', "always", "true or false"),
            ('background = "yes"', "background", "true or false"),
            ('background = true\non_failure = "stop"', "on_failure", "no stage waits for a hook in the background"),
            ("user = true", "user", 'write a text in quotes, such as "www-data"'),
            ('group = " "', "group", 'write a text in quotes, such as "www-data"'),
            ("directory = 1", "directory", 'write a text in quotes, such as "/srv"'),
            ('directory = "work"', "directory", "write an absolute path"),
            ("environment = { N = 1 }", "environment", "write a table of texts"),
            ('environment = ["N=1"]', "environment", "write a table of texts"),
            ('environment = { "A=B" = "1" }', "environment", 'a name without "="'),
            ('environment = { "" = "1" }', "environment", 'a name without "="'),
            ('environment = { A = "\\u0000" }', "environment", "no NUL characters"),
            ('args = ["x"]', "args", "is for a built-in"),
            ('use = "run-parts"', "command", "one of the two"),
            ('timeout = "2s"\nreserve = "3s"', "reserve", "is longer than timeout"),
            ('start_before = "3s"', "start_before", "within drain.margin (3 s)"),
        ],
    )
    def test_a_wrong_hook_is_told_with_its_number_name_and_key(
        self, mistakes: Mistakes, line: str, key: str, cure: str
    ) -> None:
        (mistake,) = mistakes(f"{HOOK}{line}")
        assert mistake.startswith(f"hook 1 (a): {key}: ")
        assert cure in mistake

    @pytest.mark.parametrize(
        ("table", "mistake"),
        [
            ('command = ["x"]', 'hook 1: name: write a name, such as name = "stop-taking-jobs"'),
            ('name = ""\ncommand = ["x"]', 'hook 1: name: write a text in quotes, such as "stop-taking-jobs"'),
            ('name = 1\ncommand = ["x"]', 'hook 1: name: write a text in quotes, such as "stop-taking-jobs"'),
            ('name = "a"\nuse = 1', 'hook 1 (a): use: write a text in quotes, such as "run-parts"'),
            ('name = "a"\nuse = "run-parts"\nargs = "x"', 'hook 1 (a): args: write a list of texts, such as ["/etc'),
            ('name = "a"', 'hook 1 (a): command: write either command = ["PROGRAM", ...] or use = "BUILT-IN"'),
            ('name = "a"\nuse = "run-part"', 'hook 1 (a): use: "run-part" is not known; did you mean "run-parts"?'),
            ('name = "a"\ncommand = "x"', "hook 1 (a): command: write a list of texts"),
            ('name = "a"\ncommand = []', "hook 1 (a): command: write a list of texts"),
            ('name = "a"\ncommand = [""]', "hook 1 (a): command: the first text is the program"),
            ('name = "a"\ncommand = ["x", "\\u0000"]', "hook 1 (a): command: leave out the NUL"),
            ('name = "a/b"\ncommand = ["x"]', 'hook 1 (a/b): name: "a/b" also names a file'),
            ('name = "..a"\ncommand = ["x"]', 'hook 1 (..a): name: "..a" also names a file'),
            (f'name = "{"a" * 101}"\ncommand = ["x"]', f"hook 1 ({'a' * 101}): name: also names a file; write at most"),
        ],
    )
    def test_a_hook_needs_a_usable_name_and_something_to_run(
        self, mistakes: Mistakes, table: str, mistake: str
    ) -> None:
        assert [found[: len(mistake)] for found in mistakes(f"[[hook]]\n{table}")] == [mistake]

    @pytest.mark.parametrize("text", ["[hook]", "hook = 1", "[hook.a]"])
    def test_hooks_are_written_with_two_brackets(self, mistakes: Mistakes, text: str) -> None:
        assert mistakes(text) == ["hook: write [[hook]], with two brackets, once for each hook"]

    def test_a_hook_is_a_table(self, mistakes: Mistakes) -> None:
        assert mistakes("hook = [1]") == ["hook 1: write [[hook]] and its keys below"]

    def test_every_wrong_event_and_variable_is_named(self, mistakes: Mistakes) -> None:
        found = mistakes(
            f'{HOOK}on = ["stopp", "stop", "x"]\nenvironment = {{ "A=B" = "1", GOOD = "1", N = 1, Z = "\\u0000" }}'
        )
        assert [mistake.split(": ")[1:] for mistake in found] == [
            ["on", '"stopp" is not known; did you mean "stop"?'],
            ["on", f'"x" is not known; known are {", ".join(sorted(EVENT_NAMES))}'],
            ["environment", '"A=B" cannot be set; write a name without "=", and no NUL characters'],
            ["environment", '"N" is no text; write a table of texts, such as { LANG = "C.UTF-8" }'],
            ["environment", '"Z" cannot be set to this; write a text with no NUL characters'],
        ]

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            (r'"a\nspotwatch: all is well" = 1', r'"a\nspotwatch: all is well" is not known'),
            (r'"\u001b[2J" = 1', r'"\x1b[2J" is not known'),
            ('[[hook]]\nname = "a\\tb"\ncommand = ["x"]', r'hook 1 (a\tb): name: "a\tb" also names a file'),
        ],
    )
    def test_control_characters_in_names_are_shown_escaped(self, mistakes: Mistakes, text: str, shown: str) -> None:
        (mistake,) = mistakes(text)
        assert shown in mistake
        assert mistake.isprintable()

    def test_one_mistake_hides_no_other_of_the_same_hook(self, mistakes: Mistakes) -> None:
        found = mistakes('[[hook]]\nname = "a"\nstage = "x"\ntimeout = 1\n')
        assert [mistake.split(": ")[1] for mistake in found] == ["stage", "timeout", "command"]


class TestOverrides:
    def test_they_are_stronger_than_any_file(self, read: Read, drop_in: DropIn) -> None:
        drop_in("a.toml", '[metadata]\npoll_interval = "3s"')
        assert read("", "metadata.poll_interval=4s").metadata.poll_interval == 4.0

    @pytest.mark.parametrize("override", ["log.format=json", 'log.format="json"', " log.format = json "])
    def test_a_text_needs_no_quotes(self, read: Read, override: str) -> None:
        assert read("", override).log.format is LogFormat.JSON

    def test_numbers_and_switches_are_toml(self, read: Read) -> None:
        loaded = read("", "state.keep_drains=3", "drain.on_shutdown=true", "drain.limit.stop=1m")
        assert (loaded.state.keep_drains, loaded.drain.on_shutdown, loaded.drain.limit.stop) == (3, True, 60.0)

    @pytest.mark.parametrize(
        ("override", "mistake"),
        [
            ("metadata.timeout", "--set metadata.timeout: write TABLE.KEY=VALUE, such as metadata.poll_interval=1s"),
            ("=1", "--set =1: write TABLE.KEY=VALUE, such as metadata.poll_interval=1s"),
            ("metadata=1", "--set metadata=1: write TABLE.KEY=VALUE, such as metadata.poll_interval=1s"),
            ("hook.a=1", "--set hook.a=1: a hook cannot be set here; write it into a file"),
            ("metadata.timeout=1", '--set: metadata.timeout: write a duration in quotes with its unit, such as "20s"'),
            ("metadata.timout=1s", '--set: metadata.timout: "timout" is not known; did you mean "timeout"?'),
            (
                "metadata.timeout.x=1",
                '--set: metadata.timeout: write a duration in quotes with its unit, such as "20s"',
            ),
            ("log.level=" + "9" * 5000, '--set: log.level: write one of "debug", "info", "warning", "error"'),
        ],
    )
    def test_a_wrong_one_is_told(self, mistakes: Mistakes, override: str, mistake: str) -> None:
        assert mistakes("", override) == [mistake]


# Every document


def tables(kind: type, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key path of the settings, tables included."""
    for name, hint in get_type_hints(kind).items():
        if name != "hooks":
            yield (*prefix, name)
            if is_dataclass(hint):
                assert isinstance(hint, type)
                yield from tables(hint, (*prefix, name))


KEYS = ["hook", *sorted({key for path in tables(Settings) for key in path}), *HOOK_READERS, "unknown"]

WORDS = ["2s", "off", "0s", "a", "run-parts", "terminate", "stop", "/x", "http://127.0.0.1:1", "1MiB", "", "\0", "é"]

SCALARS: list[st.SearchStrategy[Any]] = [
    st.sampled_from(WORDS),
    st.text(string.printable, max_size=8),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.dates(),
    st.times(),
    st.datetimes(),
]

VALUES = st.recursive(
    st.one_of(SCALARS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=20,
)


def toml(value: object) -> str:
    """A value as TOML, everything inline."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return '"' + "".join(f"\\U{ord(character):08x}" for character in value) + '"'
        case list():
            return f"[{', '.join(map(toml, value))}]"
        case dict():
            return "{" + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + "}"
        case datetime() | date() | time():
            return value.isoformat()
        case _:
            return str(value)


def loads_or_names_the_file(file: Path) -> bool:
    try:
        return isinstance(load(file, builtins=BUILTINS), Settings)
    except SettingsError as error:
        return bool(error.mistakes) and all(mistake.startswith(f"{file}: ") for mistake in error.mistakes)


@given(document=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_document_either_loads_or_is_refused_with_mistakes_that_name_the_file(
    file: Path, document: dict[str, object]
) -> None:
    file.write_text("\n".join(f"{key} = {toml(value)}" for key, value in document.items()), encoding="utf-8")
    assert loads_or_names_the_file(file)


@given(data=st.binary(max_size=40))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_either_loads_or_is_refused(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    assert loads_or_names_the_file(file)


# The settings themselves


def leaves(kind: type = Settings, prefix: str = "") -> Iterator[tuple[str, Any, object]]:
    """Every key path with its annotation and its default."""
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        if is_dataclass(hints[field.name]):
            yield from leaves(hints[field.name], f"{prefix}{field.name}.")
        elif field.name != "hooks":
            yield f"{prefix}{field.name}", hints[field.name], getattr(kind(), field.name)


def written(value: object) -> object:
    """A default as somebody would write it into a file."""
    match value:
        case None:
            return "off"
        case float():
            return f"{value * 1000:.0f}ms"
        case _:
            return value


LEAVES = list(leaves())


@pytest.mark.parametrize(("path", "hint", "default"), LEAVES, ids=[path for path, _, _ in LEAVES])
def test_every_setting_has_a_reader_that_accepts_its_default(path: str, hint: Any, default: object) -> None:
    read_value = get_args(hint)[1]
    assert read_value(written(default)) == default, path
