"""
Builds the sample events' details, one small function a kind, and says how often each kind happens.

The GitHub kinds keep the field names of GitHub's webhooks; the findings kinds are the product's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from metriclake.samples._tenants import SCANNERS, SEVERITIES, Profile, days_after_incident

if TYPE_CHECKING:
    from random import Random

Detail = dict[str, Any]
Maker = Callable[["Random", Profile, datetime], Detail]

_URGENCY: Final = {"critical": 0.35, "high": 0.7, "medium": 1.2, "low": 1.9}


@dataclass(frozen=True, slots=True)
class Kind:
    """
    One kind of event: where it comes from, how many a day a tenant of size 1 has of it, when, and what it says.
    """

    bus: str
    source: str
    detail_type: str
    per_day: float
    people: float
    """Share that follows the working day; the rest is machines, which keep no hours."""
    make: Maker


def stamp(at: datetime) -> str:
    """
    Return a time the way GitHub writes it: RFC 3339, UTC, whole seconds.
    """
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def finding_opened(random: Random, who: Profile, at: datetime) -> Detail:
    """
    Describe a weakness that a scanner has found.
    """
    severity = random.choices(SEVERITIES, who.severity_weights)[0]
    scanner = random.choices(SCANNERS, who.scanner_weights)[0]

    return _finding(random, who, severity, scanner) | {"created_at": stamp(at)}


def advisory_finding(random: Random, who: Profile, at: datetime) -> Detail:
    """
    Describe a finding of the incident: a library that everyone uses has turned out to be vulnerable.
    """
    severity = random.choices(SEVERITIES, (0.7, 0.25, 0.05, 0.0))[0]

    return _finding(random, who, severity, "sca") | {"created_at": stamp(at)}


def finding_fixed(random: Random, who: Profile, at: datetime) -> Detail:
    """
    Describe a finding that is gone, with the time it took.
    """
    severity = random.choices(SEVERITIES, who.severity_weights)[0]
    scanner = random.choices(SCANNERS, who.scanner_weights)[0]
    took = _seconds(random, who.hours_to_fix * _URGENCY[severity] * _season(at), 0.7)

    return _finding(random, who, severity, scanner) | {
        "opened_at": stamp(at - timedelta(seconds=took)),
        "fixed_at": stamp(at),
        "time_to_fix_seconds": took,
    }


def scan_completed(random: Random, who: Profile, at: datetime) -> Detail:
    """
    Describe one run of one scanner over one repository.
    """
    scanner = random.choice(SCANNERS)
    slowness = {"sast": 190.0, "sca": 45.0, "secrets": 20.0, "iac": 30.0}[scanner]

    return {
        "tenant_id": who.tenant,
        "completed_at": stamp(at),
        "scanner": scanner,
        "repository": _repository(random, who),
        "trigger": random.choices(("pull_request", "push", "schedule"), (0.6, 0.25, 0.15))[0],
        "status": random.choices(("passed", "failed"), (0.86, 0.14))[0],
        "duration_seconds": round(slowness * random.lognormvariate(0.0, 0.45) * _season(at), 2),
    }


def posture_computed(random: Random, who: Profile, at: datetime) -> Detail:
    """
    Describe how well the tenant is protected, as a share between 0 and 1.
    """
    day = _day(at)
    drift = 0.024 * math.sin(day / 19 + who.noon) + 0.011 * math.sin(day / 5.3) + 0.007 * math.sin(day / 2.1)
    shock = 0.16 * math.exp(-max(0.0, days_after_incident(who, at) - 0.6) / 6)
    score = who.posture + drift - shock + random.gauss(0.0, 0.005)

    return {"tenant_id": who.tenant, "computed_at": stamp(at), "score": round(min(max(score, 0.05), 0.99), 4)}


def push(random: Random, who: Profile, at: datetime) -> Detail:
    """
    Describe a push; one in twelve is a tag, which is no branch and is not counted.
    """
    branch = random.choices(("main", "develop", "feature"), (0.45, 0.2, 0.35))[0]
    tag = random.random() < 1 / 12
    ref = f"refs/tags/v{random.randint(1, 9)}.{random.randint(0, 30)}.0" if tag else f"refs/heads/{branch}"

    return _github(random, who) | {
        "ref": ref,
        "branch": branch,
        "commits_count": min(1 + int(random.expovariate(0.5)), 40),
        "pushed_at": stamp(at),
    }


def pull_request_closed(random: Random, who: Profile, at: datetime) -> Detail:
    """
    Describe a closed pull request; one in seven was closed without a merge.
    """
    took = _seconds(random, who.hours_to_merge * _season(at), 0.8)
    merged = random.random() > 1 / 7

    return _github(random, who) | {
        "action": "closed",
        "pull_request": {
            "number": random.randint(100, 9_999),
            "merged": merged,
            "created_at": stamp(at - timedelta(seconds=took)),
            "closed_at": stamp(at),
            "merged_at": stamp(at) if merged else None,
            "lead_time_seconds": took,
            "additions": 1 + int(random.lognormvariate(4.0, 1.1)),
            "deletions": int(random.lognormvariate(3.1, 1.2)),
            "base": {"ref": "main"},
        },
    }


def check_run(random: Random, who: Profile, at: datetime) -> Detail:
    """
    Describe a finished check of a continuous integration; no rule asks for it.
    """
    conclusion = random.choices(("success", "failure", "skipped"), (0.8, 0.13, 0.07))[0]

    return _github(random, who) | {
        "action": "completed",
        "check_run": {"name": random.choice(("build", "unit", "lint")), "conclusion": conclusion},
        "completed_at": stamp(at),
    }


def issue_comment(random: Random, who: Profile, at: datetime) -> Detail:
    """
    Describe a comment by its length only; no rule asks for it.
    """
    return _github(random, who) | {
        "action": "created",
        "comment": {"length": random.randint(5, 900), "created_at": stamp(at)},
    }


def star(random: Random, who: Profile, at: datetime) -> Detail:
    """
    Describe a star; no rule asks for it.
    """
    return _github(random, who) | {"action": "created", "starred_at": stamp(at)}


_FINDINGS: Final = "findings-service-bus"

OPENED: Final = Kind(_FINDINGS, "findings", "finding-opened", 64.0, 0.75, finding_opened)
ADVISORY: Final = Kind(_FINDINGS, "findings", "finding-opened", 0.0, 1.0, advisory_finding)
FIXED: Final = Kind(_FINDINGS, "findings", "finding-fixed", 51.0, 0.95, finding_fixed)
POSTURE: Final = Kind(_FINDINGS, "findings", "posture-computed", 0.0, 0.0, posture_computed)
STEADY: Final = (
    OPENED,
    FIXED,
    Kind(_FINDINGS, "findings", "scan-completed", 75.0, 0.7, scan_completed),
    Kind("github", "github", "push", 86.0, 0.93, push),
    Kind("github", "github", "pull_request.closed", 34.0, 0.97, pull_request_closed),
    Kind("github", "github", "check_run.completed", 78.0, 0.8, check_run),
    Kind("github", "github", "issue_comment.created", 56.0, 0.95, issue_comment),
    Kind("github", "github", "star.created", 5.0, 0.3, star),
)
"""The kinds that happen every day, in the order in which an hour draws them."""


def _finding(random: Random, who: Profile, severity: str, scanner: str) -> Detail:
    """
    Return what every finding says.
    """
    return {
        "tenant_id": who.tenant,
        "finding_id": f"F-{random.getrandbits(40):010x}",
        "severity": severity,
        "scanner": scanner,
        "repository": _repository(random, who),
    }


def _github(random: Random, who: Profile) -> Detail:
    """
    Return what every GitHub delivery says of where it comes from.
    """
    repository = _repository(random, who)

    return {
        "organization": {"login": who.tenant},
        "repository": {"name": repository, "full_name": f"{who.tenant}/{repository}"},
    }


def _repository(random: Random, who: Profile) -> str:
    """
    Pick a repository; each is half as busy again as the next.
    """
    weights = [1.5**-rank for rank in range(len(who.repositories))]

    return random.choices(who.repositories, weights)[0]


def _seconds(random: Random, typical_hours: float, spread: float) -> int:
    """
    Draw a length of time around a typical one, never under a minute nor over 60 days.
    """
    drawn = typical_hours * 3600 * random.lognormvariate(0.0, spread)

    return int(min(max(drawn, 60.0), 60 * 86_400.0))


def _season(at: datetime) -> float:
    """
    Return how slow things are at a time: a long calm swing, so that averages have a shape.
    """
    return 1.0 + 0.28 * math.sin(_day(at) / 11.0) + 0.08 * math.sin(_day(at) / 2.3)


def _day(at: datetime) -> float:
    """
    Return a time as days since 1970.
    """
    return at.timestamp() / 86_400
