"""`spotwatch pools` when something is wrong: what it says, its exit code, and that nothing is half done."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Spotwatch, command_line, environment
from tests.cli.pools import REGION, Main, price_history, price_table

WANTED = ("--region", REGION, "--class", "c", "--vcpus", "1000")

WORDS: dict[str, tuple[tuple[str, ...], int, str]] = {
    "nothing": ((), 64, "--region and --vcpus are needed"),
    "no capacity": (("--region", REGION), 64, "--region and --vcpus are needed"),
    "an unknown region": (("--region", "us-east-9", "--vcpus", "10"), 64, "did you mean us-east-2 or us-east-1"),
    "an unknown class": ((*WANTED, "--class", "q"), 64, 'no instance class "q" is offered'),
    "an unknown family": ((*WANTED, "--family", "c66i"), 64, "did you mean c6i"),
    "an unknown type": ((*WANTED, "--type", "c6i.huge"), 64, 'no instance type "c6i.huge" is offered'),
    "an unknown size": ((*WANTED, "--size", "huge"), 64, 'no size "huge" is offered'),
    "an unknown AZ": ((*WANTED, "--az", "apne1-az1"), 64, "known are use1-az1"),
    "an AZ's name": ((*WANTED, "--az", "us-east-1a"), 64, 'no AZ id "us-east-1a"'),
    "an AZ without the class": ((*WANTED, "--az", "use1-az3"), 64, "are not offered in use1-az3"),
    "an unknown architecture": ((*WANTED, "--arch", "riscv"), 64, "known are arm64"),
    "no generation": ((*WANTED, "--generation", "six"), 64, "--generation 6"),
    "no number": ((*WANTED, "--vcpus", "nan"), 64, '"nan" is no number above zero'),
    "a number with separators": ((*WANTED, "--vcpus", "1,000"), 64, "write digits without separators"),
    "a number without end": ((*WANTED, "--vcpus", "1e300"), 64, "is no number above zero"),
    "a negative number": ((*WANTED, "--vcpus", "-5"), 64, "is no number above zero"),
    "less than an instance": ((*WANTED, "--vcpus", "1"), 65, "less than the smallest instance has"),
    "all on demand": ((*WANTED, "--on-demand", "1000"), 64, "leaves nothing for Spot"),
    "a cap that allows nothing": ((*WANTED, "--cap-pool", "0"), 64, "the cap of one pool is 0"),
    "a cap of more than all": ((*WANTED, "--cap-az", "120%"), 64, '"120%" is no share'),
    "caps that contradict each other": (
        (*WANTED, "--cap-type", "1%", "--cap-pool", "5%", "--strict"),
        65,
        "the caps cannot all hold",
    ),
    "an unknown loss": ((*WANTED, "--survive", "region"), 64, '"region" is none of pool, type, family'),
    "to survive more than all": ((*WANTED, "--survive", "type=120%"), 64, '"120%" is no share'),
    "no pools": ((*WANTED, "--least-pools", "0"), 64, "is no whole number of 1 or more"),
    "half a pool": ((*WANTED, "--least-pools", "2.5"), 64, "is no whole number of 1 or more"),
    "a loss that earns": ((*WANTED, "--loss-cost", "nan"), 64, "is no number from 0 to"),
    "a range from large to small": ((*WANTED, "--instance-vcpus", "8-4"), 64, "write the smaller number first"),
    "memory that is none": ((*WANTED, "--memory", "much"), 64, "is no number from 0 to"),
    "a quota that is too small": ((*WANTED, "--quota", "standard=500"), 65, "the Spot quotas allow 500"),
    "a quota of another class": ((*WANTED, "--quota", "g=500"), 64, 'no candidate counts towards a Spot quota "g"'),
    "a quota without a number": ((*WANTED, "--quota", "standard=many"), 64, "such as --quota standard=500"),
    "half a quota": ((*WANTED, "--quota", "standard"), 64, "write --quota CLASS=VCPUS"),
    "a quota twice": ((*WANTED, "--quota", "standard=1", "--quota", "standard=2"), 64, "is given twice"),
    "scores without AWS": ((*WANTED, "--scores"), 64, "add --live"),
    "quotas without AWS": ((*WANTED, "--quotas"), 64, "add --live"),
    "a window without prices": ((*WANTED, "--window", "7d"), 64, "add --live or --prices"),
    "a tag without AWS": ((*WANTED, "--existing-tag", "a=b"), 64, "add --existing aws"),
    "factors without performance": ((*WANTED, "--performance", "f.json"), 64, "add --weights performance"),
    "JSON and a format": ((*WANTED, "--json", "--format", "ec2-fleet"), 64, "not allowed with argument"),
    "an unknown format": ((*WANTED, "--format", "pulumi"), 64, "invalid choice: 'pulumi'"),
    "no address": ((*WANTED, "--vcpus-per-address", "0"), 64, "is no whole number of 1 or more"),
    "an unknown action": (("plan",), 64, "invalid choice: 'plan'"),
}


@pytest.mark.parametrize(("words", "code", "said"), WORDS.values(), ids=WORDS)
def test_words_that_cannot_be_are_refused(main: Main, words: tuple[str, ...], code: int, said: str) -> None:
    ended, out, err = main("pools", *words)
    assert (ended, out) == (code, "")
    assert said in err
    assert "Traceback" not in err


FORMAT_WORDS: dict[str, tuple[tuple[str, ...], str]] = {
    "a launch template that is none": (("--launch-template", "lt-1"), "is no launch template id"),
    "an architecture that is none": (("--launch-template", "mips=web"), '"mips" is no architecture'),
    "two launch templates": (("--launch-template", "web", "--launch-template", "x86_64=api"), "two launch templates"),
    "a subnet for one AZ only": (("--subnet", "use1-az1=subnet-0123456789abcdef0"), "no subnet is given for use1-az"),
    "a subnet that is none": (("--subnet", "use1-az1=10.0.0.0/8"), "is no subnet"),
    "half a tag": (("--tag", "web"), "write --tag KEY=VALUE"),
    "a name with a blank": (("--name", "my fleet"), "cannot begin the names"),
    "a role that is none": (("--fleet-role", "me"), "is no role"),
}


@pytest.mark.parametrize(("words", "said"), FORMAT_WORDS.values(), ids=FORMAT_WORDS)
def test_a_configuration_that_cannot_be_is_refused_whole(main: Main, words: tuple[str, ...], said: str) -> None:
    code, out, err = main("pools", *WANTED, "--format", "ec2-fleet", *words)
    assert (code, out) == (64, "")
    assert said in err


# ------------------------------------------------------------------------------------------------------------- files

FILES: dict[str, tuple[str, str]] = {
    "": ("it is empty", "cut off"),
    "region,az_id,type,usd_per_hour\n": ('nothing of the region "us-east-1"', "no JSON"),
    "region,az_id,type,usd_per_hour\nus-east-1,use1-az1,c6i.large,nan\n": ("line 2: usd_per_hour is 'nan'", "no JSON"),
    "region,az_id,type,usd_per_hour\nus-east-1,use1-az1,c6i.large,-1\n": ("no number above 0", "no JSON"),
    "region,az_id,type,usd_per_hour\nus-east-1,use1-az1,c6i.la": ("3 cells, where the first line has 4", "no JSON"),
    '{"SpotPriceHistory": []}': ("SpotPriceHistory is empty", "missing"),
    '{"SpotPriceHistory": [{"InstanceType": "c6i.large"': ("the JSON is cut off", "cut off"),
    "[1, 2": ("the JSON is cut off", "cut off"),
    "[]": ("holds no JSON object", "holds no JSON object"),
}


@pytest.mark.parametrize("word", ["--prices", "--advisor"])
@pytest.mark.parametrize("content", FILES)
def test_a_malformed_file_is_refused_with_its_name_and_place(
    main: Main, tmp_path: Path, word: str, content: str
) -> None:
    file = tmp_path / "given"
    file.write_text(content)
    code, out, err = main("pools", *WANTED, word, str(file))
    assert (code, out) == (65, "")
    assert str(file) in err
    assert FILES[content][word == "--advisor"] in err
    assert "hint: " in err


@pytest.mark.parametrize("word", ["--prices", "--advisor", "--catalog", "--existing"])
def test_what_is_no_text_file_is_refused(main: Main, tmp_path: Path, word: str) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(bytes(range(256)) * 64)
    for path in (binary, tmp_path / "missing", Path("/proc/self/mem")):
        code, out, err = main("pools", *WANTED, word, str(path))
        assert (code, out) == (65, "")
        assert str(path) in err


def test_a_folder_is_refused_where_a_file_is_wanted(main: Main, tmp_path: Path) -> None:
    for word in ("--prices", "--advisor", "--existing"):
        code, out, err = main("pools", *WANTED, word, str(tmp_path))
        assert (code, out, f"{tmp_path} is a folder" in err) == (65, "", True)


def test_a_file_that_is_larger_than_any_is_refused_unread(main: Main, tmp_path: Path) -> None:
    large = tmp_path / "large.csv"
    with large.open("w") as file:
        os.truncate(file.fileno(), 1 << 40)  # a hole, which takes no room
    code, out, err = main("pools", *WANTED, "--prices", str(large))
    assert (code, out, "is larger than 512 MiB" in err) == (65, "", True)


def test_prices_of_another_product_or_region_say_so(main: Main, tmp_path: Path) -> None:
    windows = price_history(tmp_path / "windows.json", product="Windows")
    code, out, err = main("pools", *WANTED, "--prices", str(windows))
    assert (code, out) == (65, "")
    assert "no prices of Linux/UNIX, but of Windows" in err
    assert "--product-descriptions Linux/UNIX" in err
    elsewhere = price_table(tmp_path / "elsewhere.csv", "eu-west-1")
    code, out, err = main("pools", *WANTED, "--prices", str(elsewhere))
    assert (code, out, 'nothing of the region "us-east-1"' in err) == (65, "", True)


def test_a_table_has_no_mean_over_a_window(main: Main, tmp_path: Path) -> None:
    table = price_table(tmp_path / "prices.csv")
    code, out, err = main("pools", *WANTED, "--prices", str(table), "--window", "7d")
    assert (code, out, "is a table" in err) == (65, "", True)


def test_a_pipe_is_read_like_a_file(spotwatch: Spotwatch, tmp_path: Path) -> None:
    table = price_table(tmp_path / "prices.csv")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cp", str(table), str(pipe)]):
        ended = spotwatch("pools", *WANTED, "--prices", str(pipe), "--json")
    assert (ended.returncode, ended.stderr) == (0, "")


# ----------------------------------------------------------------------------------------------------- the world around


@pytest.mark.parametrize("place", ["missing/report.html", ".", "file/report.html"])
def test_a_report_that_cannot_be_written_is_refused_before_anything_is_printed(
    main: Main, tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").touch()
    code, out, err = main("pools", *WANTED, "--html", str(tmp_path / place))
    assert (code, out) == (73, "")
    assert "hint: name a file" in err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_nobody_who_reads_the_output_is_no_bug(spotwatch: Spotwatch, tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            command_line("pools", *WANTED), env=environment(tmp_path), stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert ended.returncode == 74
    assert b"the output cannot be written" in ended.stderr
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        command_line("pools", *WANTED, "--json"),
        env=environment(tmp_path), stdout=writing, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, b"")
    assert spotwatch("pools", *WANTED, HOME="", LANG="C", LC_ALL="C", PYTHONUTF8="0").returncode == 0


def test_ctrl_c_ends_it_and_leaves_nothing(started: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = started("pools", *WANTED, "--prices", str(pipe), "--html", str(report))
    with pipe.open("w"):  # returns when the command has begun to read
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err, report.exists()) == (130, "", "", False)


# ------------------------------------------------------------------------------------------------- check and replay


ACTIONS: dict[str, tuple[tuple[str, ...], int, str]] = {
    "a check of nothing": (("check",), 64, "required: file"),
    "a check of a missing file": (("check", "/nonexistent"), 65, "No such file"),
    "a check of a folder": (("check", "/"), 65, "Is a directory"),
    "a check of an empty file": (("check", "/dev/null"), 65, "it is empty"),
    "half a subnet": (("check", "/dev/null", "--subnet-az", "x"), 64, "write --subnet-az SUBNET=AZ"),
    "a check in no region": (("check", "/dev/null", "--region", "mars"), 64, 'no region "mars"'),
    "a replay of nothing": (("replay",), 64, "required: --trace"),
    "a replay of a folder": (("replay", "--trace", "/"), 65, "Is a directory"),
    "a replay of an empty file": (("replay", "--trace", "/dev/null"), 65, "the column trace is missing"),
    "a replay of no plan": (("replay", "--trace", "TRACE", "--plan", "TRACE"), 65, "no JSON"),
    "too many pools": (("replay", "--trace", "TRACE", "--pools", "99"), 64, "99 pools are asked for"),
    "too many draws": (("replay", "--trace", "TRACE", "--draws", "99999"), 64, "99999 draws are too many"),
    "a short block": (("replay", "--trace", "TRACE", "--block", "1s"), 64, "a block is an hour at least"),
    "less than is needed": (("replay", "--trace", "TRACE", "--as-recorded", "--over-provisioning", "0.5"), 64, "0.5x"),
    "much more than is needed": (("replay", "--trace", "TRACE", "--over-provisioning", "1e9"), 64, "is no fleet"),
    "no cap": (("replay", "--trace", "TRACE", "--soft-cap", "0"), 64, "the soft cap is 0"),
    "an unknown trace": (("replay", "--trace", "TRACE", "--trace-name", "x"), 64, 'no trace ends with "x"'),
}


@pytest.mark.parametrize(("words", "code", "said"), ACTIONS.values(), ids=ACTIONS)
def test_an_action_that_cannot_be_is_refused(
    main: Main, tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("trace,pool,tick_seconds,ticks,start_tick,available\nt,a,60,20160,0,1\nt,b,60,20160,0,1\n")
    ended, out, err = main("pools", *(str(trace) if word == "TRACE" else word for word in words))
    assert (ended, out) == (code, "")
    assert said in err


PLANS: dict[str, tuple[object, str]] = {
    "something else": ({"Pools": []}, "is no plan: instance_types is missing"),
    "no pools": ({"region": "us-east-1", "instance_types": {}, "pools": []}, "is no plan: pools is missing"),
    "a type that is not described": (
        {"region": "us-east-1", "instance_types": {}, "pools": [{"az_id": "use1-az1", "instance_type": "c6i.large"}]},
        "pools[0]: instance_types does not describe c6i.large",
    ),
}


@pytest.mark.parametrize(("content", "said"), PLANS.values(), ids=PLANS)
def test_a_plan_that_is_none_is_not_replayed(main: Main, tmp_path: Path, content: object, said: str) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps(content))
    code, out, err = main("pools", "replay", "--trace", "/dev/null", "--plan", str(plan))
    assert (code, out) == (65, "")
    assert said in err
