"""Fixtures that tests of several rooms use."""

from collections.abc import Iterator

import botocore.session
import pytest
from botocore.loaders import create_loader

pytest_plugins = ("tests.cloud", "tests.balancers", "tests.naming", "tests.radosgw")


@pytest.fixture(scope="session", autouse=True)
def _models_are_read_once() -> Iterator[None]:
    """Botocore reads its models of the services anew for each session, which takes longer than most tests do."""
    loader = create_loader()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", lambda *_: loader)
        yield
