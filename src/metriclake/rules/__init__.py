"""
Decide which metrics an event makes, and of which of its values.

Pure: a pattern, a transform and an event are values, and so is the answer. A rule is a bus, a pattern and a transform;
a rule set finds those that an event matches without trying them all.
"""

from metriclake.rules.complexity import EVENTBRIDGE_MOST_COMPLEX
from metriclake.rules.explain import Mismatch, Reason
from metriclake.rules.pattern import Pattern
from metriclake.rules.ruleset import Rule, RuleSet, Verdict
from metriclake.rules.transform import Transform

__all__ = [
    "EVENTBRIDGE_MOST_COMPLEX",
    "Mismatch",
    "Pattern",
    "Reason",
    "Rule",
    "RuleSet",
    "Transform",
    "Verdict",
]
