"""
Shows a tenant's metrics: an embeddable page, and the scripts and styles it is made of.

The page is a shell without data. It asks the query API itself, with the token from its address's fragment, which no
browser ever sends to a server.
"""

from __future__ import annotations

from metriclake.charts.described import described
from metriclake.charts.routes import routes

__all__ = ["described", "routes"]
