"""A pytest plugin: what tests marked with ``@shows`` saw of real hosts goes into the file ``$AGENT_IPC_TEST_SEEN``.

A feature counts as seen when at least one of its tests passed and none failed. The version is what the program says of itself.
"""

import datetime
import os
from pathlib import Path

import pytest

VARIABLE = "AGENT_IPC_TEST_SEEN"
_SHOWS = "shows"
_passed: dict[tuple[str, str], bool] = {}
"""By host and feature; what was skipped is not in it."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{_SHOWS}(host, *features): what a real host is seen to do if the test passes")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A report brings along what its test shows, also from another process of the run."""
    for item in items:
        item.user_properties += [(_SHOWS, mark.args) for mark in item.iter_markers(_SHOWS)]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed or (report.when == "call" and report.passed):
        for name, (host, *features) in report.user_properties:
            for feature in features if name == _SHOWS else ():
                _passed[host, feature] = _passed.get((host, feature), True) and not report.failed


def pytest_sessionfinish(session: pytest.Session) -> None:
    path = os.environ.get(VARIABLE)
    if not path or not _passed or hasattr(session.config, "workerinput"):
        return
    from bench.hosts.machine import version_of  # what runs no host needs none of it
    from bench.hosts.seen import load, merged, write

    versions = {host: version_of(host) for host in {host for host, _ in _passed}}
    ran = {(host, versions[host], feature): passed for (host, feature), passed in _passed.items()}
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    write(Path(path), merged(load(Path(path)), ran, today))
