"""
Take archived batches up again: their domain events as one entry, their seal, and the rule of one metric alone.

A batch is judged as of its own moment. The archive does not keep when each event arrived: all of a batch have the
arrival of its oldest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from metriclake.entry import EntryKind, LakeObject, Manifest, Seal, Span, StoredEntry
from metriclake.rules import RuleSet
from metriclake.stream.compose import Plan
from metriclake.stream.lake import Lake
from metriclake.stream.manifests import Step, read_manifest, read_name, steps


@dataclass(frozen=True, slots=True)
class Archived:
    """
    One archived batch: the journal that sealed it, its manifest, and the part of it that is the archive.
    """

    journal: str
    manifest: Manifest
    archive: LakeObject

    def entries(self, lake: Lake) -> list[StoredEntry]:
        """
        Return its domain events. Raises LakeError where they cannot be read.
        """
        manifest, body = self.manifest, lake.get(self.archive.path)
        return [StoredEntry(manifest.first, EntryKind.EVENTS, manifest.oldest_at, body.count(b"\n"), body)]

    def seal(self, version: int) -> Seal:
        """
        Return its seal, as if it had been sealed with a version of the pipeline file.
        """
        one = self.manifest
        return Seal(
            self.journal, one.partition, one.seal, one.first, one.last, one.oldest_at, one.sealed_at, version
        )  # fmt: skip


def archived(lake: Lake, span: Span, after: str) -> Iterator[tuple[Step, Archived | None]]:
    """
    Yield each manifest on the way, with the batch where its oldest arrival lies in the span and it has an archive.

    What a backfill has made is no batch, and is not read. Raises LakeError where a manifest cannot be read.
    """
    for step in steps(lake, span, after):
        name = read_name(step.path)
        if name is None or name.backfill:
            continue
        manifest = read_manifest(lake, step.path)
        held = manifest.archive is not None and span.holds(manifest.oldest_at)
        yield step, Archived(name.journal, manifest, manifest.archive) if held and manifest.archive else None


def only(plan: Plan, metric: str) -> Plan:
    """
    Return a plan with the rule of one metric alone, with none where it has no such rule.
    """
    return replace(plan, rules=RuleSet(rule for rule in plan.rules.rules if rule.name == metric))
