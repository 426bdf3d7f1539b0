"""
What is equal but for the case of its letters.
"""

from __future__ import annotations

from metriclake.rules.letters import forms


def test_forms_of_a_character_cannot_be_confused() -> None:
    """
    No form of a character begins or ends with its other form, which is why the first that fits is the only one.
    """
    several = [forms(chr(code)) for code in range(0x10000)]

    assert all(
        not one.startswith(other) and not one.endswith(other)
        for pair in several
        for one in pair
        for other in pair
        if one != other
    )
