"""
The stages of one process, put together from a pipeline file and a data directory.

A pipeline file is `configured`; one is `in_force`. `parts` are opened and made known to each other, which is all of
the wiring; `routes` are made for them, `status` looks at them, and a `server` has them at work.
"""

from metriclake.app.configured import Configured, configure, explain_event
from metriclake.app.data_directory import publish, running
from metriclake.app.server import Server

__all__ = ["Configured", "Server", "configure", "explain_event", "publish", "running"]
