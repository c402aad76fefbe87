"""``ipc keep``, as its owner types it."""

import json

from tests.shell import Shell


def test_a_rule_is_set_listed_and_dropped(shared_pair: Shell, tag: str) -> None:
    shared_pair.ok("group", "create", f"devs{tag}")
    assert f"group  devs{tag}  90 days" in shared_pair.ok("keep", "--group", f"devs{tag}", "90d")
    assert {"group": f"devs{tag}", "keep_s": 90 * 86_400.0} in json.loads(shared_pair.ok("keep", "--json"))
    assert f"devs{tag}" not in shared_pair.ok("keep", "--group", f"devs{tag}", "--drop")
    assert "There is no rule" in shared_pair.fails(2, "keep", "--group", f"devs{tag}", "--drop")
    assert "90 must be" in shared_pair.fails(2, "keep", "--group", f"devs{tag}", "90").replace("'", "")
    assert "needs --group or --thread" in shared_pair.fails(2, "keep", "90d")
