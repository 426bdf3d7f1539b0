"""
Makes up the sample events: 90 days, and then a live trickle, of a code-security product with three customers.

Everything here is a pure function of the seed and the clock it is given. Which events an hour may hold does not
depend on `now`; `now` only thins them out with their age, which gives the growth. So a demo started again later
sends, for the days it sent before, only events it has sent before: none of them counts twice.
"""

from __future__ import annotations

from metriclake.samples._events import history, moment

__all__ = ["history", "moment"]
