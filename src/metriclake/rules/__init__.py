"""
Decide which metrics an event makes, and of which of its values.

Pure: a pattern, a transform and an event are values, and so is the answer. A rule is a bus, a pattern and a transform;
a rule set finds those that an event matches without trying them all.
"""

from metriclake.rules.complexity import EVENTBRIDGE_MOST_COMPLEX
from metriclake.rules.explain import Mismatch, Reason
from metriclake.rules.inputs import Input, Rendered
from metriclake.rules.lint import traps
from metriclake.rules.metric_input import MetricInput
from metriclake.rules.pattern import Pattern
from metriclake.rules.ruleset import Rule, RuleSet, Verdict
from metriclake.rules.template import Variables
from metriclake.rules.transform import Transform
from metriclake.rules.trap import Trap

__all__ = [
    "EVENTBRIDGE_MOST_COMPLEX",
    "Input",
    "MetricInput",
    "Mismatch",
    "Pattern",
    "Reason",
    "Rendered",
    "Rule",
    "RuleSet",
    "Transform",
    "Trap",
    "Variables",
    "Verdict",
    "traps",
]
