"""
Find the traps of a metric: what compiles in its pattern and in its input, and does something else than it seems to.

A trap is a warning. Each is one that people have fallen into with EventBridge, where a rule that never matches looks
like one that has not matched yet.
"""

from __future__ import annotations

from metriclake.rules.input_traps import Metric, input_traps
from metriclake.rules.pattern_traps import pattern_traps
from metriclake.rules.trap import Trap


def traps(name: str, metric: Metric) -> tuple[Trap, ...]:
    """
    Return the traps of a metric whose pattern and input compile, those of the pattern first.
    """
    return (*pattern_traps(metric.bus, metric.pattern), *input_traps(name, metric))
