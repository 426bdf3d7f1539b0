"""
Says who the sample tenants are: how large, how fast growing, awake at which hours, with which habits and bad luck.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

SEVERITIES: Final = ("critical", "high", "medium", "low")
SCANNERS: Final = ("sast", "sca", "secrets", "iac")

_INCIDENT_EVERY: Final = 42
_INCIDENT_ON: Final = 20
"""The incident's day among those; both count from 1 January 1970, a Thursday, and make it a Wednesday every time."""


@dataclass(frozen=True, slots=True)
class Profile:
    """
    One sample tenant; rates are relative to a tenant of size 1.
    """

    tenant: str
    size: float
    growth: float
    """How much more happens today than 90 days ago: 0.5 is half as much again."""
    noon: float
    """The hour of the day, in UTC, around which its people work."""
    repositories: tuple[str, ...]
    severity_weights: tuple[float, ...]
    scanner_weights: tuple[float, ...]
    hours_to_fix: float
    hours_to_merge: float
    posture: float


PROFILES: Final = (
    Profile(
        tenant="acme",
        size=1.0,
        growth=0.6,
        noon=18.5,
        repositories=("storefront", "checkout", "payments", "search", "warehouse", "platform", "mobile"),
        severity_weights=(0.07, 0.23, 0.42, 0.28),
        scanner_weights=(0.42, 0.31, 0.09, 0.18),
        hours_to_fix=58.0,
        hours_to_merge=19.0,
        posture=0.78,
    ),
    Profile(
        tenant="globex",
        size=0.45,
        growth=1.4,
        noon=11.0,
        repositories=("api", "web", "pipelines", "terraform"),
        severity_weights=(0.04, 0.16, 0.38, 0.42),
        scanner_weights=(0.22, 0.33, 0.07, 0.38),
        hours_to_fix=26.0,
        hours_to_merge=7.0,
        posture=0.88,
    ),
    Profile(
        tenant="initech",
        size=0.115,
        growth=0.1,
        noon=16.0,
        repositories=("monolith", "reports"),
        severity_weights=(0.15, 0.35, 0.32, 0.18),
        scanner_weights=(0.48, 0.37, 0.13, 0.02),
        hours_to_fix=180.0,
        hours_to_merge=52.0,
        posture=0.55,
    ),
)


def days_after_incident(who: Profile, at: datetime) -> float:
    """
    Return how long the last incident is over, in days since its morning; infinite for a tenant that has none.

    Every six weeks a library that the largest tenant uses everywhere turns out to be vulnerable.
    """
    if who.tenant != PROFILES[0].tenant:
        return math.inf

    return (at.timestamp() / 86_400 - _INCIDENT_ON) % _INCIDENT_EVERY
