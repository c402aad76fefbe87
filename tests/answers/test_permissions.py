"""A permission prompt by a link: a look decides nothing, a form decides it once."""

from tests.answers.listening import Listening
from tests.conftest import wait_for
from tests.prompts import Asking


def test_a_link_decides_a_prompt_once(listening: Listening, tag: str) -> None:
    name = f"web{tag}"
    with Asking(listening.settings, listening.register(name), shown='{"command": "<b>"}') as hook:

        def waiting() -> list[str]:
            return [row["id"] for row in listening.owner("overview")["permissions"] if row["name"] == name]

        (permission_id,) = wait_for("the prompt", waiting)
        token = listening.token("permission", permission_id)
        for _ in range(2):
            page = listening.http("GET", f"/a/{token}").text
            assert "{&quot;command&quot;: &quot;&lt;b&gt;&quot;}" in page
        assert waiting() == [permission_id]
        assert listening.post_form(f"/a/{token}", decision="perhaps").status == 400
        assert listening.post_form(f"/a/{token}", decision="deny").status == 200
        assert hook.told() == "deny"
        assert listening.post_form(f"/a/{token}", decision="allow").status == 410
