"""A receiver and a service that tells it, for a module's tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.notify.receiving import Receiver, Telling


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def make_telling(home: Path) -> Iterator[Callable[..., Telling]]:
    """Starts a service in a home of its own; it ends with the test."""
    made: list[Telling] = []

    def make(text: str, **environment: str) -> Telling:
        made.append(Telling(home, text, **environment))
        made[-1].start()
        return made[-1]

    yield make
    for service in made:
        service.stop()
