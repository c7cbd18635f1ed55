"""Fixtures that tests of several rooms use."""

pytest_plugins = ("tests.cloud", "tests.balancers", "tests.naming", "tests.radosgw")
