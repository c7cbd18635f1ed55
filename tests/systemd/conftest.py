"""The container is booted once for each file of tests; spotwatch is installed anew for each test."""

from collections.abc import Iterator

import pytest

from tests.systemd.container import Container, booted
from tests.systemd.installed import Installed


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    directory = tmp_path_factory.mktemp("container") / "root"
    directory.mkdir()
    with booted(directory) as container:
        yield container


@pytest.fixture
def spotwatch(container: Container) -> Iterator[Installed]:
    """Installed anew, and what was logged in the test's own output when it fails."""
    installed = Installed(container)
    installed.install()
    yield installed
    print(installed.whole_journal())
