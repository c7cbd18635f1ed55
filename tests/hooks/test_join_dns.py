"""join-dns: which addresses, which weight, the one line that it says, and what its exit code means."""

from argparse import ArgumentParser
from pathlib import Path

import pytest

from spotwatch.cli.hook import mistake_in
from spotwatch.core.errors import InputError, UsageError
from spotwatch.hooks import join_dns
from spotwatch.simulate.strict_aws import Fault
from tests.balancers import RunHook
from tests.naming import NAME, ONE, ZONE, HookServices, Names

ROUTE53 = ("route53", "--name", NAME)


def test_the_addresses_of_the_instance_are_put_under_the_name(names: Names, run_hook: RunHook) -> None:
    names.aws.naming.delays.in_sync = 10
    code, said = run_hook("join-dns", names.services(), *ROUTE53)
    assert (code, said) == (0, f"{NAME}: 2 IPv4 addresses (10.0.0.5, 10.0.0.6) put there, and answered\n")
    assert names.values() == {"10.0.0.5", "10.0.0.6"}
    assert names.clock.now() >= 10


def test_a_second_run_says_that_all_is_there(names: Names, run_hook: RunHook) -> None:
    run_hook("join-dns", names.services(), *ROUTE53)
    code, said = run_hook("join-dns", names.services(), *ROUTE53)
    assert (code, said) == (0, f"{NAME}: all of this instance is there already, and answered\n")


def test_a_name_may_be_written_with_capitals_and_a_dot(names: Names, run_hook: RunHook) -> None:
    run_hook("join-dns", names.services(), "route53", "--name", "App.Example.INTERNAL.")
    assert names.values() == {"10.0.0.5", "10.0.0.6"}


def test_ipv6_addresses_are_registered_only_if_asked_for(names: Names, run_hook: RunHook) -> None:
    services = names.services(ONE, "10.0.0.5", "fd00::5")
    run_hook("join-dns", services, *ROUTE53)
    assert names.values() == {"10.0.0.5"}
    run_hook("join-dns", services, *ROUTE53, "--ipv6")
    assert names.values() == {"10.0.0.5", "fd00::5"}


def test_addresses_on_the_command_line_are_stronger_than_those_of_the_interfaces(
    names: Names, run_hook: RunHook
) -> None:
    run_hook("join-dns", names.services(), *ROUTE53, "--address", "10.1.0.1", "--address", "fd00:0::1")
    assert names.values() == {"10.1.0.1", "fd00::1"}


def test_a_machine_without_addresses_joins_nothing(names: Names, run_hook: RunHook) -> None:
    with pytest.raises(UsageError, match="no network interface") as raised:
        run_hook("join-dns", names.services(ONE, "fd00::5"), *ROUTE53)
    assert "--address" in raised.value.hint
    assert names.aws.calls == [call for call in names.aws.calls if call.operation == "CreateHostedZone"]


@pytest.mark.parametrize(("vcpus", "words", "weight"), [(2, (), 2), (8, (), 8), (8, ("--weight-per-vcpu", "10"), 80)])
def test_the_weight_of_an_instance_is_in_proportion_to_its_cores(
    names: Names, run_hook: RunHook, vcpus: int, words: tuple[str, ...], weight: int
) -> None:
    services = names.services()
    services.vcpus = vcpus
    run_hook("join-dns", services, *ROUTE53, "--policy", "weighted", *words)
    told = names.client.list_resource_record_sets(HostedZoneId=names.zone)["ResourceRecordSets"]
    assert [record["Weight"] for record in told if record["Type"] == "A"] == [weight]


def test_a_weight_that_route53_does_not_take_is_refused_and_not_cut_off(names: Names, run_hook: RunHook) -> None:
    services = names.services()
    services.vcpus = 192
    with pytest.raises(UsageError, match="192 vCPUs at 2 each make a weight of 384"):
        run_hook("join-dns", services, *ROUTE53, "--policy", "weighted", "--weight-per-vcpu", "2")


def test_a_wait_that_the_deadline_cuts_has_its_own_exit_code_and_words(names: Names, run_hook: RunHook) -> None:
    names.aws.naming.delays.in_sync = 1000
    code, said = run_hook("join-dns", names.services(), *ROUTE53)
    assert code == 75
    assert said.startswith("cut by the deadline: Route 53 has the change")
    assert said.endswith(f"{NAME}: 2 IPv4 addresses (10.0.0.5, 10.0.0.6) put there\n")
    assert names.clock.now() <= 120


def test_a_denial_is_77_and_names_the_iam_action(names: Names, run_hook: RunHook) -> None:
    names.aws.plan(Fault.DENIED, "route53:ChangeResourceRecordSets")
    code, said = run_hook("join-dns", names.services(), *ROUTE53)
    assert code == 77
    assert "allow the IAM action route53:ChangeResourceRecordSets" in said


def test_of_two_names_one_that_fails_does_not_keep_the_other_out(names: Names, run_hook: RunHook) -> None:
    code, said = run_hook("join-dns", names.services(), *ROUTE53, "--name", "app.nowhere")
    assert code == 69
    assert "failed: app.nowhere: Route 53 has no hosted zone for app.nowhere" in said
    assert names.values() == {"10.0.0.5", "10.0.0.6"}


@pytest.mark.parametrize("words", [ROUTE53, ("cloud-map", "--name", NAME)], ids=["Route 53", "Cloud Map"])
def test_every_aws_action_that_is_called_is_declared(names: Names, run_hook: RunHook, words: tuple[str, ...]) -> None:
    names.service()
    names.aws.calls.clear()
    assert run_hook("join-dns", names.services(), *words)[0] == 0
    assert run_hook("join-dns", names.services(ONE, "10.0.0.9"), *words)[0] == 0
    assert {call.name for call in names.aws.calls} <= set(join_dns.IAM_ACTIONS)


def test_a_dry_run_says_what_it_would_do_and_changes_nothing(names: Names, run_hook: RunHook) -> None:
    code, said = run_hook("join-dns", names.services(), *ROUTE53, dry_run=True)
    assert (code, said) == (0, f"{NAME}: 2 IPv4 addresses (10.0.0.5, 10.0.0.6) would be put there\n")
    assert names.records() == {}


def test_in_a_rehearsal_nobody_is_asked(names: Names, run_hook: RunHook) -> None:
    names.aws.calls.clear()
    services = names.services(SPOTWATCH_REHEARSAL="1")
    assert run_hook("join-dns", services, *ROUTE53, dry_run=True)[0] == 0
    assert names.aws.calls == []


def test_an_instance_that_does_not_know_its_id_joins_nothing(run_hook: RunHook) -> None:
    with pytest.raises(UsageError, match="which instance this is"):
        run_hook("join-dns", HookServices(id=""), *ROUTE53)


def test_a_key_file_that_is_missing_is_named(run_hook: RunHook, tmp_path: Path) -> None:
    words = ("update", "--name", NAME, "--server", "127.0.0.1", "--key-file", str(tmp_path / "key"))
    with pytest.raises(InputError, match="key cannot be read"):
        run_hook("join-dns", HookServices(), *words)


@pytest.mark.parametrize(
    ("words", "mistake"),
    [
        (["join-dns", *ROUTE53], ""),
        (["join-dns"], "the following arguments are required: SERVICE"),
        (["join-dns", "route53"], "the following arguments are required: --name"),
        (["join-dns", "route53", "--name", "a..b"], 'argument --name: "a..b" is no domain name'),
        (["join-dns", *ROUTE53, "--address", "10.0.0"], 'argument --address: "10.0.0" is no address'),
        (["join-dns", *ROUTE53, "--address", "0.0.0.0"], "argument --address: 0.0.0.0 is no address of an instance"),
        (["join-dns", *ROUTE53, "--address", "ff02::1"], "argument --address: ff02::1 is no address of an instance"),
        (["join-dns", *ROUTE53, "--ttl", "30"], 'argument --ttl: "30" is not a duration'),
        (["join-dns", "update", "--name", ZONE], "the following arguments are required: --server"),
        (["leave-dns", "sql", "--name", ZONE], "the following arguments are required: --database, --schema"),
        (["leave-dns", *ROUTE53, "--policy", "simple"], "unrecognized arguments: --policy simple"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_words_in_settings_are_examined(words: list[str], mistake: str) -> None:
    found = mistake_in(words)
    assert found.startswith(mistake) if mistake else not found


def test_every_name_service_has_a_help_text() -> None:
    parser = ArgumentParser()
    join_dns.add_arguments(parser)
    for name in ("route53", "cloud-map", "update", "sql"):
        assert name in parser.format_help()
