"""
The doors: accept, give ids and arrival times, make durable, answer. They know no rules.
"""

from metriclake.gateway.described import described
from metriclake.gateway.doors import Gateway, Ids, accept_events
from metriclake.gateway.limits import Allowance, Limiter, Rate

__all__ = ["Allowance", "Gateway", "Ids", "Limiter", "Rate", "accept_events", "described"]
