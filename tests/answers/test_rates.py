"""How often one may knock, by a clock that the test sets."""

from bridges.answers.rates import Rate


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_each_key_has_its_burst_and_fills_again() -> None:
    clock = Clock()
    rate = Rate(3, 0.5, 100, 100, clock)
    assert [rate.take("a") for _ in range(4)] == [0, 0, 0, 2.0]
    assert rate.take("b") == 0
    clock.now_s += 2
    assert rate.take("a") == 0 and rate.take("a") > 0


def test_all_keys_together_have_a_burst_too() -> None:
    clock = Clock()
    rate = Rate(3, 1, 5, 0.1, clock)
    assert [rate.take(f"k{n}") for n in range(6)] == [0, 0, 0, 0, 0, 10.0]
    assert rate.wait_s("new") == 10.0


def test_what_others_have_used_up_is_not_held_against_a_key() -> None:
    rate = Rate(2, 1, 3, 0.1, Clock())
    assert [rate.take(key) for key in "aabc"] == [0, 0, 0, 10.0]
    assert (rate.own_wait_s("a"), rate.own_wait_s("c")) == (1.0, 0)


def test_what_is_refused_costs_nothing_and_old_keys_are_forgotten() -> None:
    clock = Clock()
    rate = Rate(1, 1, 10_000, 1, clock)
    rate.take("a")
    assert [rate.take("a") for _ in range(100)] == [1.0] * 100
    for n in range(2000):
        rate.take(f"k{n}")
    assert len(rate._left) <= 1024
