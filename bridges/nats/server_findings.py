"""What servers say of themselves, as lines of a check: what is good, what is not, and what to do."""

from __future__ import annotations

from bridges.nats.known_faults import fault_of
from bridges.nats.nodes import Node
from bridges.terminal import say_finding

Finding = tuple[str, str, str]
"""(ok, warn or FAIL; what was looked at; what was found and what to do)"""


def say_all(findings: list[Finding]) -> bool:
    """Print the lines. False if one of them is FAIL."""
    for verdict, name, text in findings:
        say_finding(verdict, name, text)
    return all(verdict != "FAIL" for verdict, _, _ in findings)


def nodes_found(found: list[Node], silent: dict[str, str]) -> list[Finding]:
    """Which servers answer, and whether they will do."""
    away = "warn" if found else "FAIL"
    lines = [
        (away, "server", f"{url}: {why}. Does nats-server run there, and is the port open?") for url, why in silent.items()
    ]
    return lines + [_node(node) for node in found]


def _node(node: Node) -> Finding:
    fault = fault_of(node.version)
    if fault is not None and fault.refused:
        return "FAIL", "server", f"{node.name}: {fault.what}. Do: {fault.step}"
    if not node.jetstream:
        return (
            "FAIL",
            "server",
            f"{node.name} has no JetStream. Its configuration needs: jetstream {{ store_dir: ..., sync_interval: always }}",
        )
    if node.open:
        return (
            "FAIL",
            "server",
            f"{node.name} lets in whoever comes. Its configuration needs accounts; ipc nats accounts prints them",
        )
    if fault is not None:
        return "warn", "server", f"{node.name}: {fault.what}. Better: {fault.step}"
    return "ok", "server", f"{node.name}, version {node.version}, at {node.url}"


def syncing_found(found: list[Node], told: dict[str, bool], how: str) -> list[Finding]:
    """Which servers sync each message to the disk before they acknowledge it. ``how``: what to do where that is unknown."""
    late = "acknowledges what is on no disk yet. Its jetstream block needs: sync_interval: always; then restart it"
    lines: list[Finding] = []
    for node in found:
        if node.id in told:
            good = told[node.id]
            text = f"{node.name} {'has a message on its disk before it acknowledges it' if good else late}"
            lines.append(("ok" if good else "warn", "sync", text))
    unknown = ", ".join(node.name for node in found if node.id not in told)
    if unknown:
        lines.append(("warn", "sync", f"not known: the monitor of {unknown} does not answer here. {how}"))
    return lines
