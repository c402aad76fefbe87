"""The values of arguments: within their bounds, refused in words that a person can act on."""

from __future__ import annotations

import argparse


def message_id(text: str) -> str:
    """A message's number, also with the # before it that mail is shown with."""
    return text.removeprefix("#")


def wait_s(text: str) -> float:
    return _bounded(text, float, 0, 3600, " seconds")


def seconds(text: str) -> float:
    return _bounded(text, float, 1, 31_536_000, " seconds")


def count(text: str) -> int:
    return int(_bounded(text, int, 1, 10_000, " messages"))


def page_size(text: str) -> int:
    return int(_bounded(text, int, 1, 200, " messages"))


def minutes(text: str) -> int:
    return int(_bounded(text, int, 1, 60, " minutes"))


def _bounded(text: str, kind: type[int | float], low: int, high: int, unit: str) -> float:
    try:
        value = kind(text)
    except ValueError:
        value = kind(low - 1)
    if not low <= value <= high:
        whole = "a whole number " if kind is int else ""
        raise argparse.ArgumentTypeError(f"{text!r} must be {whole}from {low} to {high}{unit}")
    return value
