"""Colours of the style sheet: text on each ground that it stands on has a contrast of WCAG AA, in both themes."""

import re
from pathlib import Path

import pytest

import bridges.web

SHEET = (Path(bridges.web.__file__).parent / "static" / "page.css").read_text()
TEXT, EDGE = 4.5, 3.0
KINDS = ("question", "permission", "stall", "bounce", "done", "away")
GROUNDS = ("ground", "panel", "sunken", "mine")
PAIRS = [
    *((text, ground, TEXT) for text in ("text", "muted", "link") for ground in GROUNDS),
    *((kind, f"{kind}-ground", TEXT) for kind in KINDS),
    ("on-accent", "accent", TEXT),
    ("accent", "panel", TEXT),
    *(("field-line", ground, EDGE) for ground in ("ground", "panel")),
    *(("accent", ground, EDGE) for ground in GROUNDS),  # the line around what has the focus, and the dots of a drawing
    ("question", "panel", EDGE),
]
THEMES = {
    "light": ":root {",
    "dark, switched": ':root[data-theme="dark"] {',
    "dark, of the system": ':root:not([data-theme="light"]) {',
}


def colours(head: str) -> dict[str, str]:
    block = SHEET[SHEET.index(head) :].partition("{")[2].partition("}")[0]
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))


def luminance(colour: str) -> float:
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Of 1 to 21, as WCAG 2.2 computes it."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES)
def test_text_stands_out_from_its_ground(theme: str) -> None:
    found = colours(THEMES[theme])
    weak = {(one, other): round(contrast(found[one], found[other]), 2) for one, other, least in PAIRS
            if contrast(found[one], found[other]) < least}  # fmt: skip
    assert weak == {}


def test_both_ways_to_dark_have_the_same_colours() -> None:
    assert colours(THEMES["dark, switched"]) == colours(THEMES["dark, of the system"])
    assert colours(THEMES["light"]).keys() == colours(THEMES["dark, switched"]).keys()


def test_black_on_white_is_21_to_1() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
