"""
Decide what a rule becomes: a metric for each target that is given metric events, or one whose mapping is to be written.

A rule to Lambda hands its events to code that no template shows. Its pattern is carried, its mapping is left empty, and
`metriclake check` names what is missing: that is said, not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from metriclake._errors import InvalidTemplate
from metriclake.importing.declarations import Declared
from metriclake.importing.intrinsics import Resolver, as_json
from metriclake.importing.json_reading import read_json
from metriclake.importing.mapping import (
    Body,
    InputPath,
    InputTemplate,
    Mapped,
    ShortForm,
    constant_body,
    read_body,
    rule_variables,
)
from metriclake.importing.node import Node, Unknown, Unresolved
from metriclake.importing.targets import Target, bus_of, target_of
from metriclake.importing.template import NotCarried

_FILLED = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_BY_HAND = (
    "To be written by hand: `metadata` with its `tenant_id` and `data` with its `event_time`; or take the metric out,"
    " if it is none."
)
_WHOLE_EVENT = ("", "$")


@dataclass(frozen=True, slots=True)
class Metric:
    """
    A metric of the pipeline file, as a rule's target gives it; without a mapping where that is to be written by hand.

    `is_named` tells that the metric events themselves say the name, and not only the rule. `about` says where it comes
    from, for the comment above it; `left` what has to be written by hand. `stream` names its delivery stream.
    """

    name: str
    is_named: bool
    resource: str
    line: int
    bus: str | None
    pattern: dict[str, Any]
    description: str | None
    mapped: Mapped | None
    about: tuple[str, ...]
    left: tuple[NotCarried, ...]
    stream: str | None


@dataclass(frozen=True, slots=True)
class _Given:
    """
    What a target is given of each event: the mapping and what it makes, or why that is no metric event.
    """

    mapped: Mapped | None
    body: Body | None
    why: str
    template: str = ""


@dataclass(frozen=True, slots=True)
class _Taker:
    """
    A target that may take metric events, with what it is given, and where it stands.
    """

    what: str
    line: int
    target: Target
    given: _Given

    @property
    def is_finished(self) -> bool:
        """
        Tell whether metric events are what it is given, and not what its code makes of a part of the event.
        """
        mapped = self.given.mapped
        return mapped is not None and not (self.target.is_function and isinstance(mapped, InputPath))


class Carrier:
    """
    What makes metrics of rules; `note` hears of what becomes none.
    """

    def __init__(self, resolver: Resolver, note: Callable[[NotCarried], None]) -> None:
        self._resolver = resolver
        self._report = note

    def carry(self, rule: Declared) -> Iterator[Metric]:
        """
        Yield the metrics of a rule.
        """
        pattern = rule.properties.get("EventPattern")
        schedule = rule.properties.get("ScheduleExpression")
        if self._is_disabled(rule):
            self._note(rule, "State", "the rule is disabled")
            return
        if schedule is not None:
            self._note(rule, "ScheduleExpression", "it runs on a schedule: metrics are made of events", schedule.line)
        if pattern is None:
            if schedule is None:
                self._note(rule, "EventPattern", "the rule has none")
            return
        what = "EventBusName"
        try:
            bus = bus_of(rule.properties.get(what), self._resolver)
            what = "EventPattern"
            plain = self._pattern(pattern)
        except Unresolved as unresolved:
            self._note(rule, what, unresolved.reason, unresolved.line)
            return
        if rule.unsure:
            self._note(rule, "Condition", f"{rule.unsure}; the rule was carried as if it held")
        description = self._text_or_none(rule.properties.get("Description"))
        if description is not None and (filled := _fills(description)):
            self._note(rule, "Description", filled)
            description = None
        whole = Metric(
            "", is_named=False, resource=rule.resource, line=rule.line, bus=bus, pattern=plain,
            description=description, mapped=None, about=(), left=(), stream=None,
        )  # fmt: skip
        yield from self._metrics(rule, whole)

    def _metrics(self, rule: Declared, whole: Metric) -> Iterator[Metric]:
        """
        Yield a metric for each target that is given metric events; if there is none, an unfinished one for the rule.
        """
        found: list[_Taker] = []
        targets = rule.properties.get("Targets")
        nodes = list(targets.elements()) if targets is not None else []
        for index, node in enumerate(nodes):
            what = f"Targets[{index}]"
            try:
                taker = _Taker(what, node.line, target_of(node, self._resolver), self._given(node))
            except Unresolved as unresolved:
                self._note(rule, what, unresolved.reason, unresolved.line)
                continue
            if taker.target.elsewhere and (taker.given.mapped is None or not taker.target.unsure):
                self._note(rule, what, f"{taker.target.label}: {taker.target.elsewhere}", node.line)
            else:
                found.append(taker)
        finished = [taker for taker in found if taker.is_finished]
        for taker in finished:
            yield self._finished(rule, whole, taker)
        if finished:
            for taker in found:
                if not taker.is_finished:
                    self._note(rule, taker.what, f"{taker.target.label} {taker.given.why}", taker.line)
        elif found:
            yield self._unfinished(rule, whole, found)
        elif not nodes:
            why = (
                targets.value.reason
                if targets is not None and isinstance(targets.value, Unknown)
                else "the rule has none"
            )
            self._note(rule, "Targets", why)

    def _finished(self, rule: Declared, whole: Metric, taker: _Taker) -> Metric:
        """
        Return the metric of a target that is given metric events.
        """
        given = taker.given
        wanted = given.body.metric_name if given.body is not None else None
        for variable in sorted(rule_variables(given.template)):
            self._note(rule, f"<{variable}>", "it speaks of the metric here, not of the rule", taker.line)
        about: tuple[str, ...] = (f"{_origin(rule)}, to {taker.target.label}.",)
        if isinstance(given.mapped, InputPath):
            path = given.mapped.path
            about += (f"What lies at {path} must be a metric event; its `metric_name`, if it has one, must be this.",)
        name = wanted or self._rule_name(rule)
        is_named, stream = wanted is not None, taker.target.stream
        return replace(whole, name=name, is_named=is_named, mapped=given.mapped, about=about, stream=stream)

    def _unfinished(self, rule: Declared, whole: Metric, found: list[_Taker]) -> Metric:
        """
        Return the metric of a rule whose targets are given no metric events.
        """
        about = [f"{_origin(rule)}, to {', '.join(taker.target.label for taker in found)}.", _BY_HAND]
        left = []
        for taker in found:
            why = f"{taker.target.label} {taker.given.why}"
            about.append(f"{why[0].upper()}{why[1:]}.")
            if taker.given.template:
                about.append(taker.given.template)
            left.append(_of(rule, taker.what, f"{why}: the mapping has to be written by hand", taker.line))
        stream = next((taker.target.stream for taker in found if taker.target.stream is not None), None)
        return replace(whole, name=self._rule_name(rule), about=tuple(about), left=tuple(left), stream=stream)

    def _given(self, node: Node) -> _Given:
        """
        Return what a target is given of each event.
        """
        constant, path, transformer = (node.get(key) for key in ("Input", "InputPath", "InputTransformer"))
        if transformer is not None:
            return self._transformed(transformer)
        if constant is not None:
            plain = self._resolver.plain(constant)
            text = plain if isinstance(plain, str) else as_json(plain)
            body = constant_body(text)
            short = body.short_form if body is not None else None
            return _Given(short, body, "is given a constant that is no metric event")
        text = self._resolver.text(path) if path is not None else ""
        if text in _WHOLE_EVENT:
            return _Given(None, None, "is given the whole event, and what it makes of that is not in the template")
        return _Given(
            InputPath(text),
            None,
            f"is given {_short(text)} of the event, and what it makes of that is not in the template",
        )

    def _transformed(self, transformer: Node) -> _Given:
        paths = transformer.get("InputPathsMap")
        node = transformer.get("InputTemplate")
        if node is None:
            raise Unresolved(transformer.line, "InputTransformer has no InputTemplate")
        template = self._resolver.text(node)
        named = {key: self._resolver.text(below) for key, below in paths.items()} if paths is not None else {}
        body = read_body(template, named)
        shown = "".join(f"{key}: {path}\n" for key, path in named.items()) + template
        if body is None:
            return _Given(None, None, "is given what a template makes, and that is no metric event", shown)
        if body.named_by_event:
            return _Given(
                None, None, "is given metric events whose name is the event's: each name needs a metric", shown
            )
        return _Given(body.short_form or InputTemplate(named, template), body, "", template)

    def _pattern(self, node: Node) -> dict[str, Any]:
        plain = self._resolver.plain(node)
        if isinstance(plain, str):
            try:
                plain = self._resolver.plain(read_json(plain, "EventPattern", node.line))
            except InvalidTemplate as refused:
                raise Unresolved(node.line, refused.faults[0].what) from refused
        if not isinstance(plain, dict):
            raise Unresolved(node.line, "it is no object")
        return plain

    def _is_disabled(self, rule: Declared) -> bool:
        state = rule.properties.get("State")
        try:
            return state is not None and self._resolver.text(state) == "DISABLED"
        except Unresolved as unresolved:
            self._note(rule, "State", f"{unresolved.reason}; the rule was carried as if enabled", unresolved.line)
            return False

    def _rule_name(self, rule: Declared) -> str:
        return self._text_or_none(rule.properties.get("Name")) or rule.default_name

    def _text_or_none(self, node: Node | None) -> str | None:
        if node is None or isinstance(node.value, dict | list) or node.value is None:
            return None
        try:
            return self._resolver.text(node)
        except Unresolved:
            return None

    def _note(self, rule: Declared, what: str, reason: str, line: int | None = None) -> None:
        self._report(_of(rule, what, reason, line or rule.line))


def unwritable(metric: Metric) -> str:
    """
    Return why a metric cannot be written into a pipeline file, nothing if it can.
    """
    texts = [*_texts(metric.pattern), metric.bus or "", metric.description or ""]
    if isinstance(metric.mapped, InputTemplate):
        texts += [metric.mapped.template, *metric.mapped.paths.values()]
    elif isinstance(metric.mapped, ShortForm):
        texts += [
            source
            for half in (metric.mapped.metadata, metric.mapped.data)
            for source in half.values()
            if isinstance(source, str)
        ]
    return next((why for text in texts if (why := _fills(text))), "")


def _fills(text: str) -> str:
    """
    Return why a text cannot stand in a pipeline file, nothing if it can.
    """
    found = _FILLED.search(text)
    return "" if found is None else f"it holds {_short(found[0])}, which a pipeline file fills from the environment"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, below in value.items():
            yield key
            yield from _texts(below)
    elif isinstance(value, list):
        for element in value:
            yield from _texts(element)


def _of(rule: Declared, what: str, reason: str, line: int) -> NotCarried:
    return NotCarried(rule.resource, line, rule.words.get(what, what), reason)


def _origin(rule: Declared) -> str:
    return f"Rule {rule.resource} (line {rule.line})"


def _short(text: str) -> str:
    return f"`{text}`" if len(text) <= 80 and text.isprintable() else "(too long or not printable)"
