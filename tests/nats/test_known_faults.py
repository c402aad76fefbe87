"""Versions of nats-server: which are refused, in words that say what can happen and what to install."""

import pytest

from bridges.nats.known_faults import GOOD, fault_of
from bridges.nats.nodes import Node
from bridges.nats.server_findings import nodes_found


def node(version: str, **other: bool) -> Node:
    flags = {"open": False, "jetstream": True, **other}
    return Node(url="nats://h:4222", id="N1", name="n1", version=version, others=(), **flags)


@pytest.mark.parametrize("version", ["2.14.0", "2.14.6", "2.15.0", "2.15.1", "v2.15.1", "2.14.0-RC.1"])
def test_a_version_that_one_message_stops_is_refused(version: str) -> None:
    fault = fault_of(version)
    assert fault is not None and fault.refused
    assert "stops a stream of several replicas for good" in fault.what
    assert f"nats-server {GOOD}" in fault.step


@pytest.mark.parametrize("version", ["2.9.10", "2.9.25", "1.4.1"])
def test_a_version_that_syncs_nothing_is_refused(version: str) -> None:
    fault = fault_of(version)
    assert fault is not None and fault.refused
    assert "no sync_interval" in fault.what


@pytest.mark.parametrize("version", ["2.10.0", "2.11.11", GOOD, "2.12.9"])
def test_other_versions_will_do(version: str) -> None:
    assert fault_of(version) is None


@pytest.mark.parametrize("version", ["2.15.2", "2.16.0", "3.0.0", "main", ""])
def test_what_nobody_tested_is_used_with_a_warning(version: str) -> None:
    fault = fault_of(version)
    assert fault is not None and not fault.refused


def test_one_bad_node_among_good_ones_is_named() -> None:
    found = nodes_found([node(GOOD), node("2.15.1"), node("2.16.0")], {"nats://away": "does not answer"})
    assert [verdict for verdict, _, _ in found] == ["warn", "ok", "FAIL", "warn"]
    assert "Do: install nats-server 2.12.8" in found[2][2]


def test_a_node_without_jetstream_or_without_accounts_will_not_do() -> None:
    without, open_to_all = nodes_found([node(GOOD, jetstream=False), node(GOOD, open=True)], {})
    assert without[0] == open_to_all[0] == "FAIL"
    assert "jetstream {" in without[2] and "ipc nats accounts" in open_to_all[2]


def test_servers_that_do_not_answer_are_a_fault_where_none_does() -> None:
    assert [verdict for verdict, _, _ in nodes_found([], {"nats://h": "Connection refused"})] == ["FAIL"]
