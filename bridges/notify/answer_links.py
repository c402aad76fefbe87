"""Links by which a need is answered, at the answers listener."""

import json
import time

from bridges.answer_tokens import LIFE_S, mint
from bridges.view.needs import Need
from bridges.view.times import moment
from broker.home.files import answer_key
from broker.home.settings import Settings


class AnswerLinks:
    """Makes a link with a fresh token. There is none without the listener (``answers``)."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(self, need: Need) -> str:
        place = self._place()
        if not place:
            return ""
        now_s = time.time()
        life_s = (moment(need.until) or now_s + LIFE_S) - now_s
        return f"{place}/a/{mint(answer_key(self._settings.home), need.kind, need.id, now_s, life_s)}" if life_s > 1 else ""

    def _place(self) -> str:
        """``https://`` and the first of ``web_hosts``; without one this machine's own address, for the desktop."""
        if not self._settings.answers:
            return ""
        first = self._settings.web_hosts.partition(",")[0].strip()
        if first:
            return f"https://{first}"
        try:
            state = json.loads((self._settings.home / "run" / "answers.json").read_text(encoding="utf-8"))
            return "" if state["error"] else f"http://127.0.0.1:{int(state['port'])}"
        except (OSError, ValueError, KeyError, TypeError):
            return ""
