"""
Answers, always for one verified tenant.
"""

from metriclake.query.described import described
from metriclake.query.plan import plan
from metriclake.query.question import Draft, Question, parse, read
from metriclake.query.routes import Query

__all__ = ["Draft", "Query", "Question", "described", "parse", "plan", "read"]
