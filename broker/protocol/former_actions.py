"""Names of actions that clients of 0.3.0 use, and what each is now."""

from broker.protocol.essentials import AUTOCHECK_MINUTES

FORMER_ACTIONS: dict[str, tuple[str, int | None]] = {
    "autocheck_start": ("autocheck", AUTOCHECK_MINUTES),
    "autocheck_stop": ("autocheck", 0),
    "autocheck_status": ("autocheck", None),
}
"""Names that clients of 0.3.0 use: the action that each is now, and the minutes it stands for where it names none."""


def of_today(request: dict[str, object]) -> dict[str, object]:
    """A request with a former name, as it is written now."""
    action, minutes = FORMER_ACTIONS[str(request["action"])]
    given = request.get("minutes")
    return {**request, "action": action, "minutes": given if minutes and given is not None else minutes}
