"""A closed agent that mail starts again, and kills at each step: never two bodies, never two starts that are known."""

from pathlib import Path

from tests.resume.kill_rig import KillRig


def test_whatever_is_killed_a_session_has_one_body_and_a_message_one_known_start(home: Path) -> None:
    rig = KillRig(home, seed=1)
    try:
        rig.run_together(kills=12)
    finally:
        rig.close()
