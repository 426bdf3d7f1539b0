"""
The doors: accept, give ids and arrival times, make durable, answer. They know no rules.
"""

from metriclake.gateway.doors import Gateway

__all__ = ["Gateway"]
