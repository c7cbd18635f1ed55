"""`spotwatch pools check` and `spotwatch pools replay`."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.pools import REGION, Main, planned, price_table
from tests.pools.data import DATA, needs_data

WANTED = ("--region", REGION, "--class", "c", "--vcpus", "1000")
HOUR = 3600


@pytest.fixture
def fleet(main: Main) -> dict[str, Any]:
    """A request as it is written for an aligned plan."""
    code, out, _ = main("pools", *WANTED, "--mode", "aligned", "--format", "ec2-fleet")
    assert code == 0
    request: dict[str, Any] = json.loads(out)
    return request


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Thirty pools over two weeks, each gone for an hour a day, at another time."""
    lines = ["trace,pool,tick_seconds,ticks,start_tick,available"]
    for number in range(30):
        changes = [(0, 1)]
        for day in range(14):
            gone = day * 24 * 60 + 30 + number * 45
            changes += [(gone, 0), (gone + 60, 1)]
        lines += [f"t,pool-{number},60,{14 * 24 * 60},{at},{nodes}" for at, nodes in changes]
    path = tmp_path / "trace.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def written(path: Path, content: object) -> str:
    path.write_text(json.dumps(content))
    return str(path)


# -------------------------------------------------------------------------------------------------------------- check


def test_a_good_configuration_ends_with_0_and_says_what_it_can_lose(
    main: Main, fleet: dict[str, Any], tmp_path: Path
) -> None:
    code, shown, err = main("pools", "check", written(tmp_path / "fleet.json", fleet))
    assert (code, err) == (0, "")
    assert "no limit is broken" in shown
    assert "one generation" in shown


def test_a_configuration_that_aws_refuses_ends_with_1_and_says_why(
    main: Main, fleet: dict[str, Any], tmp_path: Path
) -> None:
    fleet["TargetCapacitySpecification"]["TotalTargetCapacity"] = 20_000
    fleet["TargetCapacitySpecification"]["SpotTargetCapacity"] = 20_000
    code, shown, err = main("pools", "check", written(tmp_path / "fleet.json", fleet))
    assert (code, err) == (1, "")
    assert "10,000" in shown


def test_what_is_wrong_with_the_whole_file_names_the_file(main: Main, fleet: dict[str, Any], tmp_path: Path) -> None:
    fleet["TargetCapacitySpecification"]["TotalTargetCapacity"] = 10_001
    file = tmp_path / "fleet.json"
    file.write_text(json.dumps(fleet))
    code, shown, _ = main("pools", "check", str(file))
    assert code == 1
    assert "REFUSED fleet.json: a target of 10,001 units; " in shown


def test_the_check_as_json_has_the_same(main: Main, fleet: dict[str, Any], tmp_path: Path) -> None:
    file = written(tmp_path / "fleet.json", fleet)
    code, out, _ = main("pools", "check", file, "--json", "--region", REGION)
    document = json.loads(out)
    assert (code, document["refused"], document["findings"]) == (0, False, [])
    assert {loss["group"] for loss in document["losses"]} == {"pool", "type", "family", "generation", "az"}
    assert main("pools", "--json", "check", file)[1] == main("pools", "check", file, "--json")[1]


# -------------------------------------------------------------------------------------------------------------- replay


def test_a_replay_shows_the_policy_beside_the_usual_strategies(main: Main, trace: Path) -> None:
    code, shown, err = main("pools", "replay", "--trace", str(trace), "--draws", "2")
    assert (code, err) == (0, "")
    for name in ("soft cap 10%", "diversified", "lowest-price over 5", "capacity-optimized", "failover", "moved"):
        assert name in shown


def test_a_replay_as_json_has_a_row_for_each_strategy_and_factor(main: Main, trace: Path) -> None:
    words = ("--trace", str(trace), "--draws", "1", "--over-provisioning", "1", "--over-provisioning", "1.5")
    rows = json.loads(main("pools", "replay", *words, "--json")[1])
    assert {row["over_provisioning"] for row in rows} == {1.0, 1.5}
    assert len({row["strategy"] for row in rows}) * 2 == len(rows)
    assert all(0 <= row["mean_availability"] <= 1 for row in rows)


def test_a_plan_takes_the_places_of_the_trace_s_pools(main: Main, trace: Path, tmp_path: Path) -> None:
    table = price_table(tmp_path / "prices.csv")
    plan = planned(main, *WANTED, "--prices", table)
    file = written(tmp_path / "plan.json", plan)
    words = ("--trace", str(trace), "--draws", "2", "--plan", file, "--json")
    with_plan = json.loads(main("pools", "replay", *words)[1])
    as_many = json.loads(
        main("pools", "replay", "--trace", str(trace), "--draws", "2", "--pools", str(len(plan["pools"])), "--json")[1]
    )
    assert [row["strategy"] for row in with_plan] == [row["strategy"] for row in as_many]
    assert with_plan != as_many  # its shares differ from equal ones
    code, out, err = main("pools", "replay", *words, "--pools", "5")
    assert (code, out, "leave out --pools" in err) == (64, "", True)


def test_a_trace_can_be_replayed_as_it_was_recorded(main: Main, trace: Path) -> None:
    rows = json.loads(main("pools", "replay", "--trace", str(trace), "--as-recorded", "--json")[1])
    assert all(row["worst_10_minutes"] == row["worst_10_minutes_of_all"] for row in rows)  # nothing is drawn
    days = json.loads(main("pools", "replay", "--trace", str(trace), "--block", "1d", "--draws", "1", "--json")[1])
    assert days != rows


def test_the_policy_s_words_reach_the_replay(main: Main, trace: Path) -> None:
    words = ("--trace", str(trace), "--draws", "1", "--markdown")
    _, shown, _ = main("pools", "replay", *words, "--soft-cap", "20%", "--rebalance", "5%", "--rebalance-every", "10m")
    assert "| soft cap 20%, rebalancing 5% per 10 min |" in shown
    slow = main("pools", "replay", *words, "--launch-time", "1h", "--cool-down", "2h")[1]
    assert slow != main("pools", "replay", *words)[1]


@needs_data
@pytest.mark.slow
def test_a_plan_of_real_prices_is_replayed_through_the_real_trace(main: Main, tmp_path: Path) -> None:
    plan = planned(main, *WANTED, "--prices", DATA / "pool_prices_dev.csv")
    file = written(tmp_path / "plan.json", plan)
    code, out, err = main("pools", "replay", "--trace", str(DATA / "spot_traces.csv"), "--plan", file, "--json")
    assert (code, err) == (0, "")
    policy, over = json.loads(out)[:2]
    assert policy["worst_10_minutes"] >= 0.7
    assert over["worst_10_minutes"] >= 0.85
