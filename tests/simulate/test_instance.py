import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from spotwatch.simulate.instance import Instance, MaintenanceEvent, look_up, maintenance_text, utc_text

NOW = datetime(2026, 11, 22, 8, 20, 31, tzinfo=UTC)


@pytest.fixture
def items() -> dict[str, str]:
    return Instance().items(NOW)


def text(items: dict[str, str], path: str) -> str:
    found = look_up(items, path)
    assert found is not None
    return found


def test_the_same_place_is_told_everywhere() -> None:
    items = Instance(region="eu-west-1", availability_zone="eu-west-1c").items(NOW)
    identity = json.loads(text(items, "dynamic/instance-identity/document"))
    assert (identity["region"], identity["availabilityZone"]) == ("eu-west-1", "eu-west-1c")
    assert text(items, "meta-data/placement/region") == "eu-west-1"
    assert text(items, "meta-data/placement/availability-zone") == "eu-west-1c"
    assert text(items, "meta-data/hostname").endswith(".eu-west-1.compute.internal")


def test_host_names_in_the_oldest_region_do_not_name_it() -> None:
    assert Instance(region="us-east-1").hostname == "ip-10-0-18-37.ec2.internal"


def test_the_mac_address_names_the_directory_of_its_network_interface() -> None:
    items = Instance(mac="06:aa:bb:cc:dd:ee").items(NOW)
    assert text(items, "meta-data/network/interfaces/macs") == "06:aa:bb:cc:dd:ee/"
    assert text(items, "meta-data/network/interfaces/macs/06:aa:bb:cc:dd:ee/mac") == "06:aa:bb:cc:dd:ee"


def test_credentials_are_always_valid_for_hours_and_clearly_fake(items: dict[str, str]) -> None:
    credentials = json.loads(text(items, "meta-data/iam/security-credentials/spot-fleet-role"))
    assert datetime.fromisoformat(credentials["Expiration"]) - NOW > timedelta(hours=4)
    assert "FAKE" in credentials["AccessKeyId"]
    assert "fake" in credentials["SecretAccessKey"]


def test_credentials_asked_for_together_are_the_same() -> None:
    later = Instance().items(NOW + timedelta(seconds=10))
    assert Instance().items(NOW) == later


def test_what_an_instance_does_not_have_is_neither_answered_nor_listed() -> None:
    bare = Instance(tags={}, target_lifecycle_state=None).items(NOW)
    for path in ("meta-data/tags/instance", "meta-data/autoscaling", "user-data", "meta-data/spot"):
        assert look_up(bare, path) is None
    assert "tags/" not in text(bare, "meta-data").splitlines()


def test_a_directory_lists_items_without_and_directories_with_a_slash(items: dict[str, str]) -> None:
    names = text(items, "meta-data").splitlines()
    assert {"instance-id", "placement/", "block-device-mapping/"} < set(names)
    assert names == sorted(names)
    assert text(items, "meta-data/iam/security-credentials") == "spot-fleet-role"


def test_a_version_lists_what_it_has_without_slashes() -> None:
    with_user_data = Instance(user_data="#!/bin/sh\n").items(NOW)
    assert text(with_user_data, "") == "dynamic\nmeta-data\nuser-data"


def test_public_keys_are_listed_with_their_names(items: dict[str, str]) -> None:
    assert text(items, "meta-data/public-keys") == "0=mykey"
    assert text(items, "meta-data/public-keys/0") == "openssh-key"
    assert text(items, "meta-data/public-keys/0/openssh-key").startswith("ssh-ed25519 ")


def test_every_listed_name_can_be_asked_for(items: dict[str, str]) -> None:
    """A crawler such as cloud-init's meets no dead end."""

    def crawl(directory: str) -> int:
        found = 0
        for line in text(items, directory).splitlines():
            name = line.partition("=")[0]
            below = line.endswith("/") or "=" in line or not directory
            found += crawl(f"{directory}/{name}".strip("/")) if below else 1
            assert look_up(items, f"{directory}/{name}".strip("/")) is not None
        return found

    assert crawl("") == len(items) - 1  # every item but the listing of public-keys


def test_times_are_told_in_utc() -> None:
    assert utc_text(NOW.astimezone(timezone(timedelta(hours=9)))) == "2026-11-22T08:20:31Z"


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        utc_text(NOW.replace(tzinfo=None))


def test_days_of_maintenance_have_one_digit_when_that_is_enough() -> None:
    event = MaintenanceEvent("system-reboot", not_before=datetime(2019, 1, 1, 9, 0, 43, tzinfo=UTC))
    assert event.fields()["NotBefore"] == "1 Jan 2019 09:00:43 GMT"


def test_months_of_maintenance_are_english() -> None:
    months = [
        MaintenanceEvent("system-reboot", not_before=datetime(2026, month, 10, tzinfo=UTC)).fields()["NotBefore"][3:6]
        for month in range(1, 13)
    ]
    assert months == ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def test_a_maintenance_event_has_the_names_and_the_form_of_aws() -> None:
    event = MaintenanceEvent(
        "instance-stop",
        not_before=datetime(2019, 1, 21, 9, 0, 43, tzinfo=UTC),
        not_after=datetime(2019, 1, 21, 9, 17, 23, tzinfo=UTC),
        not_before_deadline=datetime(2019, 2, 2, tzinfo=UTC),
        event_id="instance-event-0d59937288b749b32",
        description="The instance is running on degraded hardware",
    )
    assert json.loads(maintenance_text([event])) == [
        {
            "Code": "instance-stop",
            "Description": "The instance is running on degraded hardware",
            "EventId": "instance-event-0d59937288b749b32",
            "State": "active",
            "NotBefore": "21 Jan 2019 09:00:43 GMT",
            "NotAfter": "21 Jan 2019 09:17:23 GMT",
            "NotBeforeDeadline": "2 Feb 2019 00:00:00 GMT",
        }
    ]
