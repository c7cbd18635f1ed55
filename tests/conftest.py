"""Fixtures that tests of several rooms use, and what makes all of them take half of the time."""

import gc
import signal
from collections.abc import Iterator

import botocore.session
import pytest
from botocore.client import ClientCreator
from botocore.loaders import create_loader

pytest_plugins = ("tests.cloud", "tests.balancers", "tests.naming", "tests.radosgw")


def pytest_configure() -> None:
    """Look for garbage less often: with all tests and moto in memory it takes a third of the time that tests take.

    And Ctrl-C ends what the tests start, also where a shell has started them in the background, ignoring it.
    """
    gc.set_threshold(10_000, 20, 20)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _models_are_read_once() -> Iterator[None]:
    """Botocore reads its models of the services anew for each session, which takes longer than most tests do.

    And it makes a class with a method for each of a service's calls (EC2 has 700) for each client.
    """
    loader = create_loader()
    create_class = ClientCreator._create_client_class
    classes: dict[str, type] = {}

    def class_of(creator: ClientCreator, service: str, model: object) -> type:
        if service not in classes:
            classes[service] = create_class(creator, service, model)
        return classes[service]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", lambda *_: loader)
        patch.setattr(ClientCreator, "_create_client_class", class_of)
        yield
