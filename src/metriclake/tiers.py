"""
How long rows stay in the store: on the hot volume, and at all; what holds for all, for a metric, for a tenant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Stay:
    """
    The lengths that a metric or a tenant has of its own; None where it has none.
    """

    hot: timedelta | None = None
    retention: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Tiers:
    """
    How long rows stay: each length is the tenant's own, or else the metric's own, or else the one of all.

    The tenant's wins since it is what was agreed with a customer.
    """

    hot: timedelta
    retention: timedelta
    metrics: Mapping[str, Stay] = field(default_factory=dict)
    tenants: Mapping[str, Stay] = field(default_factory=dict)

    @property
    def alike(self) -> bool:
        """
        Tell whether every row stays equally long.
        """
        return not self.metrics and not self.tenants

    def retention_of(self, tenant: str, metric: str) -> timedelta:
        """
        Return how long a tenant's rows of a metric are kept.
        """
        for own in (self.tenants.get(tenant), self.metrics.get(metric)):
            if own is not None and own.retention is not None:
                return own.retention
        return self.retention
