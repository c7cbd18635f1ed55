"""`spotwatch pools`: what each word does to the plan, and what is printed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spotwatch.cli.pools.configuration import FORMATS
from spotwatch.core.capacity import Group
from spotwatch.pools import formats
from spotwatch.pools.formats.settings import placeholder
from tests.cli.conftest import Spotwatch
from tests.cli.pools import REGION, Main, planned, price_history, price_table
from tests.pools.data import DATA, needs_data

WANTED = ("--region", REGION, "--class", "c", "--vcpus", "1000")
FEW = ("--size", "xlarge,2xlarge", "--family", "c5,c5a,c6i,c6a,c7i,c7a")
"""Few candidates, where each plan takes many attempts."""

NO_PLACEHOLDER = ("cloudformation", "terraform", "karpenter")
"""In these formats the launch template is a parameter, or no matter of theirs."""

NINETY_DAYS_AGO = 90 * 86400


@pytest.fixture(scope="module")
def prices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return price_table(tmp_path_factory.mktemp("prices") / "prices.csv", classes="cmt")


@pytest.fixture
def plan(main: Main, prices: Path) -> Callable[..., dict[str, Any]]:
    """The plan of 1,000 vCPU of class c in us-east-1 and of further words."""
    return lambda *words: planned(main, *WANTED, "--prices", prices, *words)


def types(document: dict[str, Any]) -> set[str]:
    return {pool["instance_type"] for pool in document["pools"]}


def described(document: dict[str, Any], key: str) -> list[Any]:
    return [each[key] for each in document["instance_types"].values()]


def architectures(document: dict[str, Any]) -> set[tuple[str, ...]]:
    return {tuple(each) for each in described(document, "architectures")}


# ------------------------------------------------------------------------------------------------------------ JSON


def test_the_json_has_what_is_promised(plan: Callable[..., dict[str, Any]]) -> None:
    document = plan()
    keys = {"az_id", "instance_type", "count", "vcpus", "usd_per_hour"}
    assert all(keys <= pool.keys() for pool in document["pools"])
    assert document["vcpus"] == sum(pool["vcpus"] for pool in document["pools"])
    assert document["usd_per_hour"] == pytest.approx(sum(pool["usd_per_hour"] for pool in document["pools"]))
    assert document["lower_bound_usd_per_hour"] <= document["usd_per_hour"] <= document["objective"]
    assert document["worst_loss"].keys() == set(Group)
    assert document["effective_pools"] >= 20
    assert document["relaxed"] == []
    assert {source["fact"] for source in document["sources"]} >= {"Spot prices", "instance types", "offerings"}
    assert all(source["date"] for source in document["sources"])


def test_by_default_no_loss_is_larger_than_the_default_caps(plan: Callable[..., dict[str, Any]]) -> None:
    worst = plan()["worst_loss"]
    limits = {"pool": 0.05, "type": 0.1, "family": 0.25, "generation": 0.5, "az": 0.25}
    assert all(worst[kind] <= most + 1e-9 for kind, most in limits.items())


@needs_data
def test_the_files_of_the_shared_data_are_taken_as_they_are(main: Main) -> None:
    words = ("--prices", DATA / "pool_prices_dev.csv", "--advisor", DATA / "spot-advisor-data.json", "--catalog", DATA)
    document = planned(main, "--region", "ap-northeast-1", "--class", "c", "--vcpus", 1000, *words)
    assert 1000 <= document["vcpus"] <= 1020
    assert document["on_demand_usd_per_hour"] > document["usd_per_hour"] >= document["lower_bound_usd_per_hour"]


def test_without_files_the_packaged_catalogue_is_spread_over_and_no_figure_is_invented(main: Main) -> None:
    document = planned(main, *WANTED)
    assert document["effective_pools"] >= 20
    assert document["usd_per_hour"] is document["objective"] is document["lower_bound_usd_per_hour"] is None
    assert any("no prices" in note for note in document["notes"])
    assert {pool["usd_per_hour"] for pool in document["pools"]} == {None}


def test_a_price_history_is_taken_too_and_a_mean_over_a_window(main: Main, tmp_path: Path) -> None:
    history = price_history(tmp_path / "history.json")
    now = planned(main, *WANTED, "--prices", history)
    assert 1000 <= now["vcpus"] <= 1020
    over = planned(main, *WANTED, "--prices", history, "--window", "7d")
    (source,) = [each for each in over["sources"] if each["fact"] == "Spot prices"]
    assert "mean over 168 hours" in source["note"]


# ------------------------------------------------------------------------------------------------------- candidates

SELECTIONS: dict[str, tuple[tuple[str, ...], Callable[[dict[str, Any]], bool]]] = {
    "families": (
        ("--family", "c5,c6i,c6a", "--family", "c7i,c7a"),
        lambda found: {name.split(".")[0] for name in types(found)} <= {"c5", "c6i", "c6a", "c7i", "c7a"},
    ),
    "generations": (("--generation", "6", "--generation", "7"), lambda found: all(n[1] in "67" for n in types(found))),
    "sizes": (
        ("--size", "large,xlarge,2xlarge"),
        lambda found: {name.split(".")[1] for name in types(found)} <= {"large", "xlarge", "2xlarge"},
    ),
    "patterns that allow": (("--type", "c[67]i.*"), lambda found: {n[:3] for n in types(found)} == {"c6i", "c7i"}),
    "patterns that deny": (("--exclude", "c6*"), lambda found: not any(n.startswith("c6") for n in types(found))),
    "AZs": (
        ("--az", "use1-az1,use1-az2"),
        lambda found: {pool["az_id"] for pool in found["pools"]} == {"use1-az1", "use1-az2"},
    ),
    "one architecture": (("--arch", "arm64"), lambda found: architectures(found) == {("arm64",)}),
    "both architectures": (("--arch", "both"), lambda found: architectures(found) == {("arm64",), ("x86_64",)}),
    "Xen": (("--hypervisor", "xen"), lambda found: set(described(found, "hypervisor")) == {"xen"}),
    "vCPU of an instance": (
        ("--instance-vcpus", "4-8"),
        lambda found: set(described(found, "vcpus")) == {4, 8},
    ),
    "large ones": (("--instance-vcpus", "64-"), lambda found: min(described(found, "vcpus")) >= 64),
    "memory": (
        ("--class", "m", "--memory", "4-8"),
        lambda found: all(name.startswith("m") for name in types(found)),
    ),
    "local disks": (("--local-disk", "yes"), lambda found: all(described(found, "local_disk"))),
    "no local disks": (("--local-disk", "no"), lambda found: not any(described(found, "local_disk"))),
}  # fmt: skip


@pytest.mark.parametrize(("words", "holds"), SELECTIONS.values(), ids=SELECTIONS)
def test_only_what_is_selected_is_planned(
    plan: Callable[..., dict[str, Any]], words: tuple[str, ...], holds: Callable[[dict[str, Any]], bool]
) -> None:
    assert holds(plan(*words))


def test_burstable_types_are_planned_only_when_they_are_asked_for(main: Main, prices: Path) -> None:
    words = ("--region", REGION, "--class", "t", "--vcpus", "1000", "--prices", str(prices))
    code, out, err = main("pools", *words)
    assert (code, out, "are burstable" in err) == (64, "", True)
    assert {name[0] for name in types(planned(main, *words, "--burstable"))} == {"t"}


def test_bare_metal_is_planned_only_when_it_is_asked_for(main: Main, prices: Path) -> None:
    words = ("--region", REGION, "--class", "c", "--type", "*metal*", "--vcpus", "10000", "--instance-vcpus", "2-")
    code, out, err = main("pools", *words, "--prices", str(prices))
    assert (code, out, "are bare metal" in err) == (64, "", True)
    assert all(described(planned(main, *words, "--prices", prices, "--bare-metal"), "bare_metal"))


def test_flex_types_and_accelerators_are_planned_only_when_they_are_asked_for(main: Main) -> None:
    assert not any("-flex" in name for name in types(planned(main, *WANTED)))
    assert types(planned(main, *WANTED, "--type", "*-flex.*", "--flex")) != set()
    accelerated = planned(main, "--region", REGION, "--class", "g", "--vcpus", 1000, "--accelerators")
    assert all(described(accelerated, "accelerators"))


# ------------------------------------------------------------------------------------------------------------ safety


@pytest.mark.parametrize("kind", list(Group))
def test_a_cap_holds(plan: Callable[..., dict[str, Any]], kind: Group) -> None:
    tight = {Group.POOL: "4%", Group.TYPE: "6%", Group.FAMILY: "12.5 %", Group.GENERATION: "0.4", Group.AZ: "22%"}
    document = plan(f"--cap-{kind}", tight[kind])
    text = tight[kind].rstrip(" %")
    cap = float(text) / (100 if "%" in tight[kind] else 1)
    assert document["worst_loss"][kind] <= cap + 1e-9
    assert document["caps"][kind] == pytest.approx(cap)


def test_what_is_to_survive_a_loss_is_bought_besides(plan: Callable[..., dict[str, Any]]) -> None:
    document = plan(*FEW, "--survive", "pool=97%")
    assert document["capacity"] * (1 - document["worst_loss"]["pool"]) >= 970 - 1e-6
    most = plan(*FEW, "--survive", "az=80%")
    assert most["capacity"] * (1 - most["worst_loss"]["az"]) >= 800 - 1e-6


def test_numbers_of_pools_can_be_asked_for(plan: Callable[..., dict[str, Any]]) -> None:
    assert len(plan("--least-pools", 40)["pools"]) >= 40
    assert plan("--least-effective-pools", 30)["effective_pools"] >= 30 - 1e-9


def test_a_demand_that_is_too_small_for_the_caps_is_relaxed_and_says_so(main: Main, prices: Path) -> None:
    words = ("--region", REGION, "--class", "c", "--vcpus", "20", "--prices", str(prices))
    document = planned(main, *words)
    assert [each["what"] for each in document["relaxed"]]
    _, shown, _ = main("pools", *words)
    assert "RELAXED pool: 5.0 % asked, 10.0 % granted" in shown
    code, out, err = main("pools", *words, "--strict")
    assert (code, out) == (65, "")
    assert "the caps cannot all hold" in err


def test_an_aligned_plan_has_the_same_capacity_in_each_pool_or_nearly(plan: Callable[..., dict[str, Any]]) -> None:
    document = plan("--mode", "aligned", "--unevenness", "0%")
    assert len({pool["vcpus"] for pool in document["pools"]}) == 1
    vcpus = [pool["vcpus"] for pool in plan("--mode", "aligned", "--unevenness", "10%")["pools"]]
    assert min(vcpus) >= 0.9 * sum(vcpus) / len(vcpus)


def test_what_is_safer_than_an_aligned_plan_is_said_to_have_free_shares(main: Main, tmp_path: Path) -> None:
    code, shown, _ = main("pools", *WANTED, "--prices", str(price_table(tmp_path / "prices.csv")), "--mode", "aligned")
    assert code == 0
    assert "safer with free shares: the largest pool" in shown


def test_performance_counts_cores_or_what_a_file_says(plan: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    document = plan("--weights", "performance")
    whole = {name for name, kind in document["instance_types"].items() if kind["threads_per_core"] == 1}
    assert all(
        pool["weight"] / pool["vcpus"] * pool["count"] == 1 + (pool["instance_type"] in whole)
        for pool in document["pools"]
    )
    factors = tmp_path / "factors.json"
    factors.write_text('{"c6i": 5}')
    measured = plan("--weights", "performance", "--performance", factors, "--family", "c6i,c5,c7i,c6a,c5a")
    weights = {pool["weight"] / 5 for pool in measured["pools"] if pool["instance_type"].startswith("c6i.")}
    assert weights
    assert weights <= {2, 4, 8, 16, 32, 48}


def test_on_demand_capacity_is_taken_off(plan: Callable[..., dict[str, Any]], main: Main, prices: Path) -> None:
    document = plan("--on-demand", "200")
    assert 800 <= document["vcpus"] <= 816
    assert document["asked"]["on_demand_capacity"] == 200
    _, shown, _ = main("pools", *WANTED, "--prices", str(prices), "--on-demand", "200")
    assert "and 200 on demand" in shown


def test_slack_and_loss_cost_are_as_asked(plan: Callable[..., dict[str, Any]]) -> None:
    assert plan("--slack", "0")["vcpus"] == 1000
    free = plan("--loss-cost", "0")
    assert free["objective"] == pytest.approx(free["usd_per_hour"])
    assert plan("--loss-cost", "1")["interruptions_per_day"] <= free["interruptions_per_day"]


# ------------------------------------------------------------------------------------------- quotas, what runs already


def test_a_stated_quota_is_kept_and_shown(plan: Callable[..., dict[str, Any]]) -> None:
    document = plan("--quota", "standard=1000")
    assert document["vcpus"] == 1000
    assert {"fact": "Spot quotas", "origin": "the command line"}.items() <= document["sources"][-1].items()


def test_a_plan_that_runs_already_needs_no_change(
    plan: Callable[..., dict[str, Any]], tmp_path: Path, main: Main, prices: Path
) -> None:
    first = plan()
    assert first["change"] is None
    running = tmp_path / "plan.json"
    running.write_text(json.dumps(first))
    assert plan("--existing", running)["change"] == []
    first["pools"].pop(0)
    running.write_text(json.dumps(first))
    steps = plan("--existing", running)["change"]
    assert sum(step["count"] for step in steps if step["count"] > 0) >= 1
    _, shown, _ = main("pools", *WANTED, "--prices", str(prices), "--existing", str(running))
    assert "instances to start, 0 to stop" in shown


# --------------------------------------------------------------------------------------------------------- the table


def test_the_table_says_cost_losses_safety_addresses_and_dates(main: Main, prices: Path) -> None:
    code, shown, err = main("pools", *WANTED, "--prices", str(prices))
    assert (code, err) == (0, "")
    for words in (
        "effective number of pools", "USD/h", "above the least that any plan within the caps can cost",
        "instances interrupted a day", "one pool", "one type", "one family", "one generation", "one AZ",
        "dropping the pool cap of 5.0 % would save up to", "safer: the largest pool", "cheaper: the largest pool",
        "addresses with a DNS record each", "1 of 30", "1 of 3 ", "Spot prices: ",
    ):  # fmt: skip
        assert words in shown, words


@pytest.mark.slow
def test_what_surviving_costs_is_said_when_it_is_asked_for(main: Main, prices: Path) -> None:
    words = (*WANTED, *FEW, "--prices", str(prices), "--survive", "pool")
    document = planned(main, *words, "--compare")
    found = {each["group"]: each for each in document["safer"]}
    assert found.keys() == {"type", "family", "generation", "az"}  # what is asked for anyway costs nothing more
    assert found["type"]["capacity"] * (1 - found["type"]["worst_loss"]) >= 1000 - 1e-6
    assert found["az"]["usd_per_hour"] > document["usd_per_hour"]
    _, shown, _ = main("pools", *words, "--compare")
    assert "to have all that is needed left without any one family: " in shown


@pytest.mark.slow
def test_what_cannot_be_survived_says_why(main: Main) -> None:
    words = (*WANTED, *FEW, "--az", "use1-az1", "--compare")
    found = {each["group"]: each for each in planned(main, *words)["safer"]}
    assert found["az"]["capacity"] is None
    assert found["az"]["why_not"]
    _, shown, _ = main("pools", *words)
    assert "without any one AZ: not possible: " in shown


def test_addresses_are_one_for_so_many_vcpu(plan: Callable[..., dict[str, Any]]) -> None:
    assert plan("--slack", "0")["addresses"]["records"] == 500
    dense = plan("--slack", "0", "--vcpus-per-address", "1")["addresses"]
    assert dense["records"] == 1000
    assert all(each["possible"] and each["enis"] <= each["most_enis"] for each in dense["types"])


def test_old_data_are_warned_of(main: Main, prices: Path) -> None:
    then = prices.stat().st_mtime - NINETY_DAYS_AGO
    os.utime(prices, (then, then))
    document = planned(main, *WANTED, "--prices", prices)
    assert any(note.startswith("OLD DATA: the Spot prices are of ") for note in document["notes"])
    _, shown, _ = main("pools", *WANTED, "--prices", str(prices))
    assert "note: OLD DATA" in shown
    _, configuration, said = main("pools", *WANTED, "--prices", str(prices), "--format", "ec2-fleet")
    assert "OLD DATA" in said
    assert "OLD DATA" not in configuration


# ----------------------------------------------------------------------------------------------------- configurations


def test_the_formats_are_all_that_there_are() -> None:
    assert tuple(formats.FORMATS) == FORMATS


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_written_passes_the_check(main: Main, prices: Path, tmp_path: Path, name: str) -> None:
    words = ("--vcpus", "200", "--region", REGION, "--class", "c", "--prices", str(prices))
    code, out, err = main("pools", *words, "--format", name)
    assert code == 0, err
    assert placeholder("x86_64") in err or name in NO_PLACEHOLDER
    suffix = {"terraform": ".tf.json", "karpenter": ".yaml"}.get(name, ".json")
    file = tmp_path / f"configuration{suffix}"
    file.write_text(out)
    code, shown, err = main("pools", "check", str(file), "--region", REGION)
    assert (code, err) == (0, ""), shown


def test_two_architectures_get_a_launch_template_each(main: Main, prices: Path) -> None:
    templates = {"x86_64": "lt-0123456789abcdef0", "arm64": "lt-0fedcba9876543210"}
    words = [word for arch, lt in templates.items() for word in ("--launch-template", f"{arch}={lt}:7")]
    code, out, _ = main(
        "pools",
        *WANTED,
        "--arch",
        "both",
        "--mode",
        "aligned",
        "--prices",
        str(prices),
        "--format",
        "ec2-fleet",
        *words,
    )
    assert code == 0
    specifications = [each["LaunchTemplateSpecification"] for each in json.loads(out)["LaunchTemplateConfigs"]]
    assert {(each["LaunchTemplateId"], each["Version"]) for each in specifications} == {
        (identity, "7") for identity in templates.values()
    }


def test_names_subnets_and_tags_are_in_what_is_written(main: Main) -> None:
    words = ("--az", "use1-az1", "--subnet", "use1-az1=subnet-0123456789abcdef0", "--tag", "team=web", "--name", "web")
    code, out, _ = main(
        "pools", *WANTED, *words, "--mode", "aligned", "--format", "ec2-fleet", "--launch-template", "web-x86"
    )
    assert code == 0
    assert all(word in out for word in ("subnet-0123456789abcdef0", '"team"', '"web"', '"web-x86"'))


# ---------------------------------------------------------------------------------------------------------- the report


def test_the_report_is_written_beside_what_is_printed(main: Main, prices: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    code, shown, err = main("pools", *WANTED, "--prices", str(prices), "--html", str(report))
    assert (code, err) == (0, "")
    assert "USD/h" in shown
    assert report.read_text().startswith("<!doctype html>")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    "words",
    [
        ("--class", "q"),
        ("--cap-pool", "0.1%", "--strict"),
        ("--format", "ec2-fleet", "--launch-template", "lt-1"),
        ("--prices", "/nonexistent"),
    ],
)
def test_a_report_that_is_there_stays_as_it_was_if_there_is_no_plan(
    main: Main, tmp_path: Path, words: tuple[str, ...]
) -> None:
    report = tmp_path / "report.html"
    report.write_text("of yesterday")
    code, out, err = main("pools", *WANTED, *words, "--html", str(report))
    assert code in (64, 65)
    assert (out, err != "", report.read_text()) == ("", True, "of yesterday")


# ------------------------------------------------------------------------------------------------------------ the start


def test_without_live_neither_boto3_nor_any_other_heavy_library_is_imported(prices: Path) -> None:
    script = (
        "import sys; from spotwatch import cli; code = cli.main(sys.argv[1:]); "
        "heavy = [m for m in sys.modules if m.split('.')[0] in "
        "('boto3', 'botocore', 'jinja2', 'cfnlint', 'yaml', 'httpx', 'tenacity')]; "
        "sys.exit(f'{code} {heavy}')"
    )
    words = [sys.executable, "-c", script, "pools", *WANTED, "--prices", str(prices), "--json"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.stderr.strip() == "0 []"


def test_a_library_that_is_missing_is_named_with_the_extra_that_has_it(prices: Path) -> None:
    script = "import sys; sys.modules['rich'] = None; from spotwatch import cli; sys.exit(cli.main(sys.argv[1:]))"
    words = [sys.executable, "-c", script, "pools", *WANTED, "--prices", str(prices)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (64, "")
    assert "this needs rich" in ended.stderr
    assert "pip install '.[pools]'" in ended.stderr


def test_the_table_fits_into_80_columns(prices: Path) -> None:
    script = (
        "import sys; from rich.console import Console; from spotwatch.cli.pools import table; "
        "table.make_console = lambda: Console(width=80); from spotwatch import cli; sys.exit(cli.main(sys.argv[1:]))"
    )
    words = [sys.executable, "-c", script, "pools", *WANTED, "--prices", str(prices)]
    ended = subprocess.run(words, capture_output=True, text=True, check=True)
    rows = [line for line in ended.stdout.splitlines() if line.startswith(" use1-az")]
    assert len(rows) >= 20
    assert "…" not in ended.stdout
    assert all(len(line.split()) in (8, 9) for line in rows)  # a share is two words, and so is an interruption


@pytest.mark.slow
def test_the_help_has_examples_and_they_work(spotwatch: Spotwatch, prices: Path) -> None:
    said = spotwatch("pools", "--help").stdout.replace("\\\n", "")
    examples = [line.strip() for line in said.splitlines() if line.startswith("  spotwatch pools --region")]
    assert len(examples) >= 3
    for example in examples:
        words = example.replace("--live", f"--prices {prices}").partition(" > ")[0].split()[1:]
        if "ap-northeast-1" in words and "--prices" in words:
            price_table(prices, "ap-northeast-1", REGION)
        ended = spotwatch(*words)
        assert ended.returncode == 0, (example, ended.stderr)
