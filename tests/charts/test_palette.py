"""
The colours of groups can be told apart by readers with any kind of colour vision.
"""

from __future__ import annotations

import itertools
import math
import re

import pytest

from charts.web import WEB

LEAST = 8.0
"""The least distance (ΔE, in OKLab times 100) between two groups' colours; some 2 can just be seen side by side."""

CONTRAST = 4.5
TOKENS = (WEB / "src" / "tokens.css").read_text("utf-8")
Colour = tuple[float, float, float]

# Machado, Oliveira and Fernandes (2009), at full severity.
VISIONS: dict[str, tuple[Colour, Colour, Colour]] = {
    "usual": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}


def colours(name: str, scheme: int) -> list[str]:
    """
    Return the colours whose names begin so, of the light scheme (0) or the dark one (1).
    """
    found = re.findall(rf"--_{name}(?:-\d)?: var\(--ml-[\w-]+, light-dark\((#\w+), (#\w+)\)\)", TOKENS)
    return [pair[scheme] for pair in found]


def linear(text: str) -> Colour:
    """
    Return a colour's light, by channel.
    """
    channels = (int(text[index : index + 2], 16) / 255 for index in (1, 3, 5))
    red, green, blue = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels)
    return red, green, blue


def seen(text: str, vision: str) -> Colour:
    """
    Return where a colour lies in OKLab, as someone sees it.
    """
    light = linear(text)
    red, green, blue = (
        max(0.0, sum(part * value for part, value in zip(row, light, strict=True))) for row in VISIONS[vision]
    )
    long = math.cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue)
    middle = math.cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue)
    short = math.cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue)
    return (
        0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * middle + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * middle - 0.8086757660 * short,
    )


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize(("name", "count"), [("series", 8), ("step", 5)])
def test_groups_are_told_apart(name: str, count: int, vision: str, scheme: int) -> None:
    """
    No two colours of one chart look alike, whoever looks.
    """
    palette = colours(name, scheme)
    distances = {
        (one, other): 100 * math.dist(seen(one, vision), seen(other, vision))
        for one, other in itertools.combinations(palette, 2)
    }

    assert len(palette) == count
    assert {pair: distance for pair, distance in distances.items() if distance < LEAST} == {}


def luminance(text: str) -> float:
    """
    Return a colour's relative luminance, as WCAG has it.
    """
    red, green, blue = linear(text)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["ink", "ink-soft", "ink-faint", "good", "bad"])
def test_text_can_be_read(name: str, scheme: int) -> None:
    """
    Text has the contrast of WCAG AA against a card.
    """
    (text, ground) = (colours(name, scheme)[0], colours("card", scheme)[0])
    high, low = sorted((luminance(text), luminance(ground)), reverse=True)

    assert (high + 0.05) / (low + 0.05) >= CONTRAST
