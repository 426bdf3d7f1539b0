"""
The doors: accept, give ids and arrival times, make durable, answer. They know no rules.
"""

from metriclake.gateway.described import described
from metriclake.gateway.doors import Gateway
from metriclake.gateway.limits import Allowance, Limiter, Rate

__all__ = ["Allowance", "Gateway", "Limiter", "Rate", "described"]
