"""What is left of a mailbox that is gone: nothing."""

from broker.core.state import Moment
from broker.home.logs import Log
from broker.server.upkeep import Sweeper
from tests.engine import Core


def test_a_new_agent_inherits_nothing_of_one_that_is_gone(core: Core) -> None:
    core.register("fred", "gone")
    core.ask("gone", "group_create", group="team")
    core.ask("fred", "group_join", group="team")
    core.ask("fred", "block", name="gone", mode="block")
    core.send("fred", "gone", "for gone alone")
    [message] = core.check("gone")
    core.ask("gone", "ack", ids=[message["id"]])
    sweeper = Sweeper(core.engine, core.store, Log("test"))
    for _ in range(2):  # its name is free after a week, its mailbox ends a week later
        core.pass_time(8 * 86_400)
        core.ask("fred", "register", instance_id="fred")
        sweeper._next_s = None
        sweeper.step(Moment(core.wall_s, core.mono_s))
    assert "gone" not in core.engine.state.mailboxes
    core.restart()
    core.register("fred", "new")
    assert core.send("new", "fred", "hello")["status"] == "ok"
    assert core.ask("new", "history")["messages"][1:] == []
    assert core.ask("fred", "groups")["groups"][0]["members"] == ["fred"]
    assert core.ask("fred", "blocks")["blocks"] == []
