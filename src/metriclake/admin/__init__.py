"""
The internal routes: for the admin key alone.
"""

from metriclake.admin.described import described
from metriclake.admin.lake import LakeAdmin
from metriclake.admin.routes import Admin

__all__ = ["Admin", "LakeAdmin", "described"]
