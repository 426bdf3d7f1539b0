"""
Answers, always for one verified tenant.
"""

from metriclake.query.described import described
from metriclake.query.plan import plan
from metriclake.query.question import Question, parse
from metriclake.query.routes import Query

__all__ = ["Query", "Question", "described", "parse", "plan"]
