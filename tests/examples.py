"""How many examples a property gets: all of them in ``pytest -m deep``, a tenth in the quick run."""

from typing import Any

from hypothesis import HealthCheck, settings

_QUICK = 10
_deep = False
_BUSY: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
"""A busy machine is no fault of a property."""
settings.register_profile("deep", **_BUSY)
settings.register_profile("quick", max_examples=20, **_BUSY)
settings.load_profile("quick")


def take_all() -> None:
    """Called before the test files are imported."""
    global _deep
    _deep = True
    settings.load_profile("deep")


def examples(count: int, **more: Any) -> settings:
    return settings(max_examples=count if _deep else max(count // _QUICK, 10), **more)
