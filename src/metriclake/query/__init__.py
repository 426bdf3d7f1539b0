"""
Answers, always for one verified tenant.
"""

from metriclake.query.plan import plan
from metriclake.query.question import Question, parse
from metriclake.query.routes import Query

__all__ = ["Query", "Question", "parse", "plan"]
