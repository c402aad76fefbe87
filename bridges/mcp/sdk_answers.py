"""``python -m bridges.mcp.sdk_answers``: what the SDK answers, for ``known_answers.jsonl``."""

import asyncio
import json
from typing import Any

from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from bridges.mcp.known_answers import FILE
from bridges.mcp.sdk import SdkSession
from bridges.mcp.server import build

_METHODS = ("tools/list", "resources/list", "resources/templates/list")
_HELLO = {"protocolVersion": HANDSHAKE_PROTOCOL_VERSIONS[-1], "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}


def said_by_the_sdk() -> str:
    """The file's text."""
    handshake, *lists = asyncio.run(_asked([("initialize", _HELLO), *((method, {}) for method in _METHODS)]))
    handshake["serverInfo"]["version"] = ""  # who answers knows it
    results = ({"result": handshake, "versions": HANDSHAKE_PROTOCOL_VERSIONS}, *lists)
    lines = ({"method": method, "result": result} for method, result in zip(("initialize", *_METHODS), results, strict=True))
    return "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)


async def _asked(requests: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def said(line: bytes, _key: str | None) -> None:
        answers.put_nowait(json.loads(line)["result"])

    session = SdkSession(build(), said)
    running = asyncio.get_running_loop().create_task(session.run())
    results = []
    for number, (method, params) in enumerate(requests):
        await session.take(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode())
        results.append(await answers.get())
    session.end()
    await running
    return results


if __name__ == "__main__":
    with open(FILE, "w", encoding="utf-8") as f:
        f.write(said_by_the_sdk())
