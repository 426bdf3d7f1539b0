"""
Find the rules that a template declares: as resources, as events of SAM's functions, as events in a serverless.yml.

All of them come out in the words of `AWS::Events::Rule`, so that nothing further on has to know the other two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from metriclake.importing.firehose import DELIVERY_STREAM
from metriclake.importing.intrinsics import Resolver
from metriclake.importing.node import Node, Reference, Unknown
from metriclake.importing.template import NotCarried, logical_id

RULE = "AWS::Events::Rule"

_FUNCTION = "AWS::Serverless::Function"
_SAM_RULES = ("EventBridgeRule", "CloudWatchEvent")
_SAM_NAMES = {"Pattern": "EventPattern", "RuleName": "Name"}
_FRAMEWORK_NAMES = {
    "pattern": "EventPattern", "event": "EventPattern", "eventBus": "EventBusName", "name": "Name",
    "description": "Description", "schedule": "ScheduleExpression", "input": "Input", "inputPath": "InputPath",
    "inputTransformer": "InputTransformer", "inputPathsMap": "InputPathsMap", "inputTemplate": "InputTemplate",
}  # fmt: skip
_SAM_WORDS = {"EventPattern": "Pattern", "Targets[0]": "function"}
_FRAMEWORK_WORDS = {
    "EventPattern": "pattern", "EventBusName": "eventBus", "State": "enabled", "ScheduleExpression": "schedule",
    "Description": "description", "Targets[0]": "function",
}  # fmt: skip
_OF_TARGET = ("Input", "InputPath", "InputTransformer")
_SCHEDULED = "it runs on a schedule: metrics are made of events"

_REASONS = {
    "AWS::Events::Archive": "the lake's Archive/ keeps every domain event",
    "AWS::Events::ApiDestination": "metriclake's destinations are written in the pipeline file",
    "AWS::Events::Connection": "metriclake's destinations are written in the pipeline file",
    "AWS::Events::Endpoint": "events come in by metriclake's own doors",
    "AWS::Scheduler::Schedule": _SCHEDULED,
    "AWS::Pipes::Pipe": "only rules of a bus are carried: send what comes through the pipe to a door",
    "AWS::Serverless::StateMachine": "metrics are made of rules whose targets are Firehose or Lambda",
    "AWS::CloudFormation::Stack": "a stack of its own: import its template",
    "AWS::Serverless::Application": "an application of its own: import its template",
}
"""Kinds of resources that say something about the path of an event, and have no place in a pipeline file."""


@dataclass(frozen=True, slots=True)
class Declared:
    """
    A rule: how reports call it, where it stands, its name where it is given none, and its properties.

    `unsure` says why it is not known whether the rule exists at all, if that is so. `words` are the template's own for
    those of `AWS::Events::Rule`.
    """

    resource: str
    line: int
    default_name: str
    properties: Node
    unsure: str = ""
    words: Mapping[str, str] = field(default_factory=dict)


def declared_rules(resolver: Resolver, note: Callable[[NotCarried], None]) -> Iterator[Declared]:
    """
    Yield a template's rules in its order.
    """
    for name, function in resolver.template.functions.items():
        yield from _of_framework(name, function, resolver, note)
    for resource, whole in resolver.template.resources.items():
        type_ = resolver.template.type_of(resource)
        if type_ in (RULE, DELIVERY_STREAM, _FUNCTION) or type_ in _REASONS:
            yield from _of_resource(resource, whole, type_, resolver, note)
        elif resource.startswith("Fn::"):
            note(NotCarried(resource, whole.line, resource, "is not worked out here: import what it becomes"))


def resources_of(type_: str, resolver: Resolver) -> list[str]:
    """
    Return the resources of a type that exist, as far as the template's conditions tell.
    """
    return [
        resource
        for resource, whole in resolver.template.resources.items()
        if resolver.template.type_of(resource) == type_ and _exists(whole, resolver) is not False
    ]


def _exists(whole: Node, resolver: Resolver) -> bool | Unknown:
    condition = whole.get("Condition")
    if condition is None or not isinstance(condition.value, str):
        return True
    return resolver.condition(condition.value)


def _of_resource(
    resource: str, whole: Node, type_: str, resolver: Resolver, note: Callable[[NotCarried], None]
) -> Iterator[Declared]:
    exists = _exists(whole, resolver)
    if exists is False:
        note(NotCarried(resource, whole.line, "Condition", "it does not hold with these parameters"))
        return
    unsure = exists.reason if isinstance(exists, Unknown) else ""
    if type_ in _REASONS:
        note(NotCarried(resource, whole.line, type_, _REASONS[type_]))
    elif type_ == RULE:
        properties = resolver.resolve(resolver.template.properties(resource))
        if _is_known(resource, "Properties", properties, note):
            yield Declared(resource, whole.line, resource, properties, unsure)
    elif type_ == _FUNCTION:
        events = resolver.resolve(resolver.template.properties(resource).get("Events") or Node({}, whole.line))
        _is_known(resource, "Events", events, note)
        for name, event in events.items():
            yield from _of_sam(resource, name, event, unsure, note)


def _is_known(resource: str, what: str, node: Node, note: Callable[[NotCarried], None]) -> bool:
    """
    Tell whether a part of a template is known; say why not.
    """
    if isinstance(node.value, Unknown):
        note(NotCarried(resource, node.line, what, node.value.reason))
    return not isinstance(node.value, Unknown)


def _of_sam(
    function: str, name: str, event: Node, unsure: str, note: Callable[[NotCarried], None]
) -> Iterator[Declared]:
    """
    Yield the rule that an event of SAM's function makes, if it makes one.
    """
    typed, properties = event.get("Type"), event.get("Properties") or Node({}, event.line)
    resource = f"{function}.{name}"
    if typed is not None and typed.value in ("Schedule", "ScheduleV2"):
        note(NotCarried(resource, event.line, "Schedule", _SCHEDULED))
    if typed is None or typed.value not in _SAM_RULES:
        return
    found = {_SAM_NAMES.get(key, key): node for key, node in properties.items()}
    if (enabled := found.pop("Enabled", None)) is not None and enabled.value in (False, "false"):
        found["State"] = Node("DISABLED", enabled.line)
    whole = _with_target(found, function, event.line)
    yield Declared(resource, event.line, f"{function}{name}", whole, unsure, _SAM_WORDS)


def _of_framework(
    name: str, function: Node, resolver: Resolver, note: Callable[[NotCarried], None]
) -> Iterator[Declared]:
    """
    Yield the rules that the events of a function in a serverless.yml make.
    """
    events = resolver.resolve(function).get("events")
    if events is None:
        return
    _is_known(f"functions.{name}", "events", events, note)
    for index, event in enumerate(events.elements()):
        resource = f"functions.{name}.events[{index}]"
        if event.get("schedule") is not None:
            note(NotCarried(resource, event.line, "schedule", _SCHEDULED))
        found = next((node for key in ("eventBridge", "cloudwatchEvent") if (node := event.get(key)) is not None), None)
        if found is None:
            continue
        if not _is_known(resource, "eventBridge", found, note):
            continue
        properties = _renamed(found)
        if (enabled := found.get("enabled")) is not None and enabled.value in (False, "false"):
            properties["State"] = Node("DISABLED", enabled.line)
        whole = _with_target(properties, logical_id(name), event.line)
        yield Declared(resource, event.line, name, whole, words=_FRAMEWORK_WORDS)


def _renamed(node: Node) -> dict[str, Node]:
    found = {_FRAMEWORK_NAMES.get(key, key): below for key, below in node.items()}
    transformer = found.get("InputTransformer")
    if transformer is not None and isinstance(transformer.value, dict):
        renamed = {_FRAMEWORK_NAMES.get(key, key): below for key, below in transformer.items()}
        found["InputTransformer"] = Node(renamed, transformer.line)
    return found


def _with_target(properties: dict[str, Node], function: str, line: int) -> Node:
    """
    Return a rule's properties with a function as its one target, which takes the input that the event names.
    """
    target = {key: properties.pop(key) for key in _OF_TARGET if key in properties}
    target["Arn"] = Node(Reference(function, "Arn"), line)
    return Node({**properties, "Targets": Node([Node(target, line)], line)}, line)
