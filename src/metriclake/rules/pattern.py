"""
Decide whether an event matches an EventBridge event pattern.

Dots in names and nesting are one and the same, in the pattern and in the event. A pattern compiles to ways of
satisfying it, one for each way through its `$or`s; a way holds one leaf a dotted path, and all of its leaves have to be
satisfied.

What a pattern may cost is limited, by the limits of `reader` on patterns, refused with InvalidPattern, and those of
`arrays` on events, refused with EventTooComplex. What an event holds off the pattern's paths costs nothing, however
deep.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, final

from metriclake._errors import InvalidPattern
from metriclake.rules.arrays import Steps
from metriclake.rules.complexity import complexity_of
from metriclake.rules.explain import Mismatch, mismatch_of
from metriclake.rules.index import Index
from metriclake.rules.jsontext import REFUSED
from metriclake.rules.reader import SubRule, read_pattern
from metriclake.rules.ways import Way
from metriclake.rules.wildcards import Wildcard

_TOO_COMPLEX = (
    "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a "
    "wildcard character"
)


@final
class Pattern:
    """
    A compiled event pattern.
    """

    def __init__(self, ways: tuple[Way, ...]) -> None:
        self.ways = ways

    @cached_property
    def _index(self) -> Index:
        return Index(self.ways)

    @classmethod
    def compile(cls, pattern: str | Mapping[str, Any], *, most_complex: int | None = None) -> Pattern:
        """
        Compile a pattern from its JSON text or the decoded mapping.

        Text is better where there is a choice: it keeps the spelling of numbers, and gives a refusal its place.

        Args:
            pattern: The JSON text, or what it decodes to.
            most_complex: Refuse a greater `wildcard_complexity`; EventBridge's own limit is
                `EVENTBRIDGE_MOST_COMPLEX`. Here a complex wildcard costs no more than another, so none is refused
                unless asked for.

        Raises:
            InvalidPattern: The pattern is refused; EventBridge's words stand on the first line.

        """
        compiled = cls(_ways(read_pattern(pattern)))
        if most_complex is not None and compiled.wildcard_complexity > most_complex:
            hint = f"Its complexity is {compiled.wildcard_complexity}, and {most_complex} is allowed."
            raise InvalidPattern(REFUSED + _TOO_COMPLEX, hint)
        return compiled

    @property
    def paths(self) -> frozenset[str]:
        """
        The dotted paths that this pattern looks at.
        """
        return frozenset(path for way in self.ways for path, _ in way.leaves)

    @property
    def wildcard_complexity(self) -> int:
        """
        How complex EventBridge holds the wildcards to be: the greatest measure of a path, 0 without wildcards.
        """
        wildcards: dict[str, set[Wildcard]] = {}
        for way in self.ways:
            for path, leaf in way.leaves:
                wildcards.setdefault(path, set()).update(leaf.wildcards)
        return max(map(complexity_of, wildcards.values()), default=0)

    def matches(self, event: Mapping[str, Any]) -> bool:
        """
        Tell whether a decoded event matches.

        Raises:
            EventTooComplex: The event's arrays or texts are beyond the limits.

        """
        return bool(self._index.of_event(event))

    def matches_json(self, text: bytes | str) -> bool:
        """
        Tell whether an event that is JSON text matches: as `matches` once it is decoded, but at less cost.

        Only what the pattern looks at is decoded. So a fault elsewhere, bytes that are no UTF-8 for one, need not be
        noticed.

        Raises:
            InvalidEvent: The text is no JSON object.
            EventTooComplex: The event is longer than `MOST_BYTES` of `eventtext`, or otherwise beyond the limits.

        """
        return bool(self._index.of_text(text))

    def explain(self, event: Mapping[str, Any]) -> Mismatch | None:
        """
        Tell why a decoded event does not match: which key fails, on which value, and what was wanted. None if it does.

        Raises:
            EventTooComplex: The event's arrays or texts are beyond the limits.

        """
        return mismatch_of(self.ways, event, Steps())


def _ways(rules: Sequence[SubRule]) -> tuple[Way, ...]:
    """
    Return sub-rules with their names in the order of their UTF-16 code units.
    """
    paths = sorted(
        {path for rule in rules for path in rule}, key=lambda path: path.encode("utf-16-be", "surrogatepass")
    )
    order = {path: number for number, path in enumerate(paths)}
    return tuple(Way(0, tuple(sorted(rule.items(), key=lambda each: order[each[0]]))) for rule in rules)
