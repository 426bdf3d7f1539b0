"""
The internal routes: for the admin key alone.
"""

from metriclake.admin.backfill import BackfillAdmin
from metriclake.admin.deadletters import LettersAdmin
from metriclake.admin.described import described
from metriclake.admin.fleet import FleetAdmin
from metriclake.admin.lake import LakeAdmin
from metriclake.admin.login import Sessions
from metriclake.admin.provenance import ProvenanceAdmin
from metriclake.admin.recount import RecountAdmin
from metriclake.admin.replays import ReplaysAdmin
from metriclake.admin.routes import Admin
from metriclake.admin.rules import RulesAdmin
from metriclake.admin.session import Guard
from metriclake.admin.tenants import TenantsAdmin
from metriclake.admin.trail import AuditAdmin, Trail
from metriclake.admin.viewing import ViewingAdmin

__all__ = [
    "Admin",
    "AuditAdmin",
    "BackfillAdmin",
    "FleetAdmin",
    "Guard",
    "LakeAdmin",
    "LettersAdmin",
    "ProvenanceAdmin",
    "RecountAdmin",
    "ReplaysAdmin",
    "RulesAdmin",
    "Sessions",
    "TenantsAdmin",
    "Trail",
    "ViewingAdmin",
    "described",
]
