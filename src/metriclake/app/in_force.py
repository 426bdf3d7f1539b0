"""
The pipeline file in force, swapped whole, and those before it that sealed batches still need.
"""

from __future__ import annotations

import logging
from typing import Any

from metriclake import plans
from metriclake._errors import MetriclakeError
from metriclake.app.configured import Configured
from metriclake.journal import SqliteJournal
from metriclake.stream import Plan

_LOG = logging.getLogger(__name__)


class InForce:
    """
    What is in force in one process.
    """

    def __init__(self, configured: Configured, journal: SqliteJournal) -> None:
        """
        Begin with `configured`; `journal` keeps the text of each that comes into force.
        """
        self._journal = journal
        self._plans: dict[int, Plan] = {}
        self.refused: str | None = None
        self.configured = configured
        self.keep(configured)

    def keep(self, configured: Configured) -> None:
        """
        Keep a file, for batches that will be sealed by it.
        """
        self._journal.keep_pipeline(configured.plan.version, configured.text)
        self._plans[configured.plan.version] = configured.plan

    def swap(self, fresh: Configured) -> None:
        """
        Put a file in force that is kept.
        """
        self.configured = fresh
        self.refused = None
        _LOG.info("the pipeline file is in force", extra={"version": fresh.plan.version})

    @property
    def plan(self) -> Plan:
        """
        Return the plan in force.
        """
        return self.configured.plan

    def plan_of(self, version: int | None) -> Plan:
        """
        Return the plan of a sealed batch's version, which an earlier pipeline file may have made.
        """
        if version is None:
            return self.plan
        if version not in self._plans:
            self._plans[version] = plans.plan_of_text(self.text_of(version), version)
        return self._plans[version]

    def text_of(self, version: int) -> str:
        """
        Return what is kept of a version's file. Raises MetriclakeError where it is not.
        """
        text = self._journal.pipeline(version)
        if text is None:
            raise MetriclakeError(f"the pipeline file of version {version} is not kept: a sealed batch needs it")
        return text

    def rule_of(self, version: int, metric: str) -> Any:
        """
        Return what a version of the pipeline file said of a metric, None where it is not kept.
        """
        text = self._journal.pipeline(version)
        return None if text is None else plans.kept_rule(text, metric)

    def edited(self, text: str) -> Plan:
        """
        Compile an edited file that is not in force; raises InvalidPipeline.
        """
        if text == self.configured.text:
            raise MetriclakeError("the edited file says what is in force already: edit a copy, and name it")
        return plans.plan_of_edited(text)
