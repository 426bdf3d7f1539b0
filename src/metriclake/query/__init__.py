"""
Answers, always for one verified tenant.
"""

from metriclake.query.answer_cache import AnswerCache
from metriclake.query.answers import Declared
from metriclake.query.dashboard_routes import Dashboards
from metriclake.query.dashboards import check as check_dashboard
from metriclake.query.described import described
from metriclake.query.desk import Desk
from metriclake.query.export import Exports
from metriclake.query.fleet import FleetQuestion, plan_fleet, read_fleet
from metriclake.query.fleet_answers import FleetAnswers
from metriclake.query.live import Live
from metriclake.query.plan import plan
from metriclake.query.provenance import Provenance, Sources
from metriclake.query.question import Draft, Question, parse, read
from metriclake.query.routes import Query
from metriclake.query.turns import Turns, TurnTerms, share
from metriclake.query.usage import Ending
from metriclake.query.versions import Versions

__all__ = [
    "AnswerCache",
    "Dashboards",
    "Declared",
    "Desk",
    "Draft",
    "Ending",
    "Exports",
    "FleetAnswers",
    "FleetQuestion",
    "Live",
    "Provenance",
    "Query",
    "Question",
    "Sources",
    "TurnTerms",
    "Turns",
    "Versions",
    "check_dashboard",
    "described",
    "parse",
    "plan",
    "plan_fleet",
    "read",
    "read_fleet",
    "share",
]
