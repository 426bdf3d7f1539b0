"""
A function of the user's as a destination: it gets metric events, and says what it did not take.

It returns None where all are taken, or a mapping from an event's place in the list to `retry` or `rejected`, with a
reason after a colon if it has one. What it raises is an outage: all of them come again, in parts if it does not end.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from metriclake.callables import named_callable
from metriclake.destinations.destination import (
    DELIVERED,
    EVENT,
    Batch,
    Capabilities,
    Erasure,
    Fate,
    Receipt,
    Record,
    Repeats,
    Verdict,
)
from metriclake.destinations.http import blocked, scrubbed
from metriclake.destinations.mapping import Mapper
from metriclake.event import MetricEvent, json_kind
from metriclake.pipeline.destination_specs import PythonSpec

_VERDICTS = {"retry": Verdict.RETRY, "rejected": Verdict.REJECTED}
_MOST_BYTES = 16 * 1024 * 1024


class PythonDestination:
    """
    A callable, named `module:function`.
    """

    def __init__(self, name: str, spec: PythonSpec, folder: Path) -> None:
        """
        Import it, also from `folder`; raises MetriclakeError where it cannot be used.
        """
        self.name = name
        self.account = f"python {name}"
        self._spec = spec
        self._callable = named_callable(spec.call, folder)
        self._mapper = Mapper.of(name, spec)

    def __repr__(self) -> str:
        """
        Return its name.
        """
        return f"PythonDestination({self.name!r}, {self._spec.call!r})"

    @property
    def capabilities(self) -> Mapping[str, Capabilities]:
        """
        Return how many events it gets at once; whether it knows a repeat, nobody knows here.
        """
        again = self._spec.unknown == "retry"
        most = self._spec.batch
        return {EVENT: Capabilities(most, _MOST_BYTES, repeats=Repeats.DOUBLED, retry_unknown=again)}

    @property
    def erasure(self) -> Erasure:
        """
        Return that a function cannot be asked to.
        """
        return Erasure(
            possible=False, how=f"`{self._spec.call}` knows where it put the tenant's events: delete them there"
        )

    def records(self, event: MetricEvent) -> Iterator[Record]:
        """
        Return the metric event, with its id, and its name and properties by the mapping.
        """
        mapped = self._mapper.mapped(event)
        if mapped is None:
            return
        own = self._mapper.id_of(mapped, EVENT)
        item = {
            "id": own,
            "metric_name": event.metric_name,
            "metadata": event.metadata,
            "data": event.data,
            "name": mapped.name,
            "properties": mapped.properties,
        }
        yield Record(own, mapped.tenant, mapped.metric, mapped.time, msgspec.json.encode(item))

    def deliver(self, batch: Batch) -> Receipt:
        """
        Call the function.
        """
        call = self._spec.call
        items = [msgspec.json.decode(record.body) for record in batch.records]
        try:
            said = self._callable(items)
        except Exception as error:  # noqa: BLE001 - user code: whatever it is, nothing was taken
            detail = f"`{call}` raised {type(error).__name__}: all come again"
            return dataclasses.replace(blocked(batch, "raised", detail), raised=True)
        if said is None:
            return Receipt.all(batch, DELIVERED)
        if not isinstance(said, Mapping):
            return blocked(batch, "unreadable", f"`{call}` returned {json_kind(said)}: it must be None or a mapping")
        fates = {index: _fate(word, batch) for index, word in said.items()}
        wrong = [index for index in fates if type(index) is not int or not 0 <= index < len(batch.records)]
        if wrong or None in fates.values():
            detail = f"`{call}` returned something else than places in the list with `retry` or `rejected`"
            return blocked(batch, "unreadable", detail)
        return Receipt.but(batch, {index: fate for index, fate in fates.items() if fate is not None})

    def close(self) -> None:
        """
        Nothing is open.
        """


def _fate(word: Any, batch: Batch) -> Fate | None:
    """
    Return what `retry: its reason` means, None where it is neither that nor `rejected`.
    """
    if not isinstance(word, str):
        return None
    verdict, _, reason = word.partition(":")
    if verdict.strip() not in _VERDICTS:
        return None
    return Fate(_VERDICTS[verdict.strip()], scrubbed(reason, batch.records) or verdict.strip())
