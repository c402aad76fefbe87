"""Three agents build something together, over three doors, while their broker is killed twice.

    python examples/team.py

planner (a Python program), builder (a script over TCP) and reviewer (an MCP client, as Claude Code is one) share a
repository. They form a group, claim what they edit, ask and answer, and every message arrives once. Planner is told when
builder is idle, that it is stuck, and of mail that nobody reads. All of it happens in a temporary home; nothing of it is left.
"""

import sys
import threading
from typing import Any

import broker
from bridges.cli.demo import DemoFailed, McpAgent, TcpAgent, await_door, kill_broker, temporary_service
from broker.home.settings import Settings
from broker.service.launcher import ensure_running


def tell(who: str, what: str) -> None:
    print(f"{who:>9}  {what}", flush=True)


def expect(found: Any, wanted: Any) -> None:
    if found != wanted:
        raise DemoFailed(f"expected {wanted!r}, found {found!r}")


def story(settings: Settings) -> None:
    """Play it; raises DemoFailed where anything is lost, doubled or out of place."""
    ensure_running(settings)
    door = await_door(settings)
    reviewer = McpAgent("reviewer")
    builder = TcpAgent("builder", door["host"], door["port"])
    with broker.connect("planner", settings=settings) as planner:
        form_group(planner, builder, reviewer)
        share_out(planner, builder, reviewer)
        ask_and_answer(settings, planner, builder)
        review(settings, planner, builder, reviewer)
        keep_an_eye(planner, builder)
        write_to_nobody(planner)
    reviewer.close()


def form_group(planner: broker.Client, builder: TcpAgent, reviewer: McpAgent) -> None:
    planner.create_group("crew")
    builder.ask("group_join", group="crew")
    reviewer.call("manage", do="group_join", name="crew")
    tell("planner", "makes the group crew; builder and reviewer join it")
    tell("planner", planner.send("crew", "Task: a parser for dates. builder writes it, reviewer tests it.")["message"])
    expect(builder.check()[0][0], "planner")
    expect([sender for sender, _text in reviewer.check()], ["planner"])


def share_out(planner: broker.Client, builder: TcpAgent, reviewer: McpAgent) -> None:
    builder.ask("claim", resource="/repo/src/**", note="the parser")
    tell("builder", "claims /repo/src/**")
    refused = reviewer.try_call("claim", resource="/repo/src/dates.py")
    expect("builder has claimed /repo/src/**" in refused, True)
    tell("reviewer", f"may not: {refused.split('. ')[0].split(' since ')[0]}")
    reviewer.call("claim", resource="/repo/tests/**", note="its tests")
    tell("reviewer", "claims /repo/tests/** instead")
    expect([c["holder"] for c in planner.claims()["claims"]], ["builder", "reviewer"])


def ask_and_answer(settings: Settings, planner: broker.Client, builder: TcpAgent) -> None:
    """The broker is killed between question and answer: the question stays, and the answer comes back through the wait."""
    answers: list[Any] = []
    asking = threading.Thread(target=lambda: answers.append(planner.ask("builder", "Which dates do you read?", wait=30)))
    asking.start()
    question = builder.wait_for_question()
    tell("planner", "asks builder: Which dates do you read?")
    kill_broker(settings)
    tell("", "(the broker is killed while planner waits for the answer)")
    builder.ask("reply", to_message=question["id"], message={"content": "ISO 8601, and nothing else"})
    asking.join(30)
    expect([a.content for a in answers if a], ["ISO 8601, and nothing else"])
    tell("builder", "answers: ISO 8601, and nothing else")
    expect([a["state"] for a in planner.asks()["asks"]], ["answered"])


def review(settings: Settings, planner: broker.Client, builder: TcpAgent, reviewer: McpAgent) -> None:
    sent = builder.ask("send", to_id="reviewer", message={"content": "src/dates.py is ready"}, land="interrupt")
    tell("builder", "tells reviewer at once: src/dates.py is ready")
    kill_broker(settings)
    tell("", "(the broker is killed again, with that message in its store)")
    expect(reviewer.check(wait_s=10), [("builder", "src/dates.py is ready")])
    reviewer.call("reply", message_id=sent["number"], content="all tests pass")
    tell("reviewer", "answers in the thread: all tests pass")
    (receipt,) = builder.ask("receipts", ids=[sent["message_id"]])["receipts"]
    expect(receipt["state"], "read")
    expect(builder.check(), [("reviewer", "all tests pass")])
    builder.ask("claim_release")
    reviewer.call("claim", do="release")
    expect(planner.claims()["claims"], [])
    tell(
        "",
        f"both release their claims; planner finds {len(planner.search('tests')['messages'])} letters about tests",
    )


def keep_an_eye(planner: broker.Client, builder: TcpAgent) -> None:
    """Tell me when, and a stall. The hooks of an agent's host make these reports; builder is a script and makes them itself."""
    planner.watch_agent("builder", ["idle"])
    tell("planner", "wants to be told when builder is idle, and goes on with its work")
    builder.ask("report", event="turn_began")
    builder.ask("report", event="turn_ended")
    expect([m.content for m in planner.check(wait=10)], ["builder is idle: its turn is over"])
    tell("planner", "is told that builder is idle")
    planner.request("ask", to_id="builder", message={"content": "Does it read leap seconds?"})
    builder.ask("report", event="turn_began")
    for _ in range(5):
        builder.ask("report", event="tool_ended", tool="Bash", digest="1 test failed")
    (alarm,) = planner.check(wait=10)
    tell("system", f"to planner: {alarm.content}")
    expect([a["name"] for a in planner.alarms()["alarms"]], ["builder"])
    builder.ask("report", event="tool_ended", tool="Edit", digest="dates.py, line 12")
    builder.ask("report", event="turn_ended")
    expect(planner.alarms()["alarms"], [])
    tell("builder", "edits another line, and goes on: the alarm is closed")


def write_to_nobody(planner: broker.Client) -> None:
    """A bounce: mail that nobody reads in its time lies in the dead letters, and its sender is told."""
    planner.request("send", to_id="tester", message={"content": "Can you test dates.py, too?"}, ttl_s=1)
    tell("planner", "writes to tester, whom nobody has registered, for one second")
    (bounce,) = planner.check(wait=20)
    tell("system", f"to planner: {' '.join(bounce.content.splitlines()[:2])}")
    expect([letter["ending"] for letter in planner.request("dead")["dead"]], ["expired"])


def main() -> int:
    try:
        with temporary_service() as settings:
            story(settings)
    except DemoFailed as e:
        print(f"the story failed: {e}", file=sys.stderr)
        return 1
    print("\nEvery message arrived, each once.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
