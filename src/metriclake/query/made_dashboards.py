"""
The dashboards that are made of tenants' metrics, remembered while what they are made of stays the same.

A page asks for its dashboard and then, with a token that is bound to it, what it shows: all of one moment.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property

from metriclake.pipeline.dashboard_specs import DashboardSpec
from metriclake.query.claims import allowed_of
from metriclake.query.dashboards import Permission
from metriclake.query.derived import derived
from metriclake.query.plan import Units
from metriclake.store import TenantReader
from metriclake.tokens import TenantClaims

_REMEMBERED_SECONDS = 60.0
"""Metrics leave by age too, and the range that a dashboard opens with moves on."""
_MOST = 1_000


class Made:
    """
    A dashboard, and what it was made of: a version of the tenant's metrics, units, at a moment of the monotonic clock.
    """

    def __init__(self, spec: DashboardSpec, version: int | None, units: Units, at: float) -> None:
        self.spec = spec
        self._of = (version, units)
        self._at = at

    def holds(self, version: int | None, units: Units, now: float) -> bool:
        """
        Tell whether it would be made the same now.
        """
        return version is not None and self._of == (version, units) and now < self._at + _REMEMBERED_SECONDS

    @cached_property
    def permission(self) -> Permission:
        """
        Return what it asks.
        """
        return Permission(self.spec)


class MadeDashboards:
    """
    Those of one server. Any thread may ask.
    """

    def __init__(
        self,
        reader: Callable[[str], TenantReader],
        units: Callable[[], Units],
        version: Callable[[str], int | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        `version` is that of a tenant's metrics, None while it is unknown; `clock` is in seconds.
        """
        self._reader = reader
        self._units = units
        self._version = version
        self._clock = clock
        self._lock = threading.Lock()
        self._made: OrderedDict[tuple[str, frozenset[str] | None], Made] = OrderedDict()

    def of(self, claims: TenantClaims) -> Made:
        """
        Return the dashboard of what a token may see.
        """
        key, version, units = (claims.tenant_id, claims.metrics), self._version(claims.tenant_id), self._units()
        with self._lock:
            made = self._made.get(key)
        if made is not None and made.holds(version, units, self._clock()):
            return made
        found = allowed_of(claims.metrics, self._reader(claims.tenant_id).metrics())
        made = Made(derived(found, units, datetime.now(UTC)), version, units, self._clock())
        with self._lock:
            self._made[key] = made
            self._made.move_to_end(key)
            while len(self._made) > _MOST:
                self._made.popitem(last=False)
        return made
