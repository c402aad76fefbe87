"""A receiver that reads by the book: take, then acknowledge, until nothing new comes."""

from collections import Counter

from bench.peers.place import Place

_EMPTY = 2
"""So many times in a row nothing must have come."""
_MOST = 400


def receive(place: Place, name: str) -> list[str]:
    """Tokens of one reading."""
    taken = place.run(place.driver.take(name), name)
    place.driver.done(name, taken.out)
    return place.driver.texts(taken.out)


def receive_all(place: Place, name: str, expected: int = 0) -> Counter[str]:
    """How often each token came. Ends at once when ``expected`` have come, where that is given."""
    got: Counter[str] = Counter()
    empty = readings = 0
    while empty < _EMPTY and readings < _MOST:
        texts = receive(place, name)
        got.update(texts)
        readings += 1
        if expected and len(got) >= expected:
            break
        empty = 0 if texts else empty + 1
    return got
