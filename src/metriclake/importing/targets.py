"""
Decide what a rule's target is, and which bus it listens to, from an ARN or a reference to a resource.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from metriclake.importing.firehose import DELIVERY_STREAM
from metriclake.importing.intrinsics import Resolver
from metriclake.importing.node import Node, Part, Reference, Unknown, Unresolved

_HOLE = "\x00"
_BUS_NAME = re.compile(r"[/._A-Za-z0-9-]{1,256}")
_BUS_ARN = ":event-bus/"
_FUNCTIONS = ("AWS::Lambda::Function", "AWS::Serverless::Function", "AWS::Lambda::Alias", "AWS::Lambda::Version")
_ELSEWHERE = "metrics are made of rules whose targets are Firehose or Lambda"
_KINDS = {
    "sqs": "an SQS queue", "sns": "an SNS topic", "states": "a Step Functions state machine", "logs": "a log group",
    "kinesis": "a Kinesis stream", "events": "an event bus or API destination", "ecs": "an ECS task",
    "batch": "a Batch job", "codebuild": "a CodeBuild project", "codepipeline": "a CodePipeline pipeline",
    "ssm": "Systems Manager", "execute-api": "an API", "redshift": "a Redshift cluster", "sagemaker": "SageMaker",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Target:
    """
    A target of a rule: `label` is for people, `stream` its delivery stream if the template has it.

    `elsewhere` says why no metric is made for it, if none is; `unsure` that this is for not knowing what it is.
    """

    label: str
    stream: str | None = None
    is_function: bool = False
    elsewhere: str = ""
    unsure: bool = False


def target_of(node: Node, resolver: Resolver) -> Target:
    """
    Return what a target is.

    Raises:
        Unresolved: It has no ARN, or is not known at all.

    """
    arn = node.get("Arn")
    if isinstance(node.value, Unknown):
        raise Unresolved(node.line, node.value.reason)
    if arn is None:
        raise Unresolved(node.line, "the target has no Arn")
    text, holes = _with_holes(resolver.partly(arn))
    if text == _HOLE:
        return _of_hole(holes[0], resolver)
    parts = text.split(":", 5)
    if len(parts) < 6 or parts[0] != "arn" or _HOLE in parts[2]:
        return Target("an unknown target", elsewhere=_why(holes), unsure=True)
    service, rest = parts[2], parts[5]
    named = holes[text[: len(text) - len(rest)].count(_HOLE) :]
    if service == "firehose":
        return _stream(rest.removeprefix("deliverystream/"), named, resolver)
    if service == "lambda":
        return Target(f"the function {_function(rest, named, resolver)}", is_function=True)
    return Target(_KINDS.get(service, f"a target of {_safe(service)}"), elsewhere=_ELSEWHERE)


def bus_of(node: Node | None, resolver: Resolver) -> str | None:
    """
    Return the name of the bus that a rule listens to; None where it names none.

    Raises:
        Unresolved: The name is not known, or is none.

    """
    if node is None:
        return None
    parts = tuple(_bus_part(part) for part in resolver.partly(node))
    text, holes = _with_holes(tuple(part for found in parts for part in resolver.partly(Node(found, node.line))))
    before, is_arn, name = text.partition(_BUS_ARN)
    if not is_arn:
        before, name = "", text
    if _HOLE in name:
        raise Unresolved(node.line, _why(holes[before.count(_HOLE) :]))
    if not _BUS_NAME.fullmatch(name):
        raise Unresolved(node.line, "it is not the name or the ARN of an event bus")
    return name


def _bus_part(part: Part) -> Part:
    """
    Return the name of a bus for its ARN: it is all that is wanted of either.
    """
    return Reference(part.resource, "Ref") if isinstance(part, Reference) and part.attribute == "Arn" else part


def _of_hole(part: Part, resolver: Resolver) -> Target:
    """
    Return the target that a reference alone names.
    """
    if not isinstance(part, Reference):
        return Target("an unknown target", elsewhere=_why((part,)), unsure=True)
    type_ = resolver.template.type_of(part.resource)
    if type_ == DELIVERY_STREAM:
        return Target(f"the delivery stream {part.resource}", stream=part.resource)
    if type_ in _FUNCTIONS:
        return Target(f"the function {resolver.template.label(part.resource)}", is_function=True)
    service = type_.split("::")[1].lower() if type_.count("::") == 2 else ""
    label = _KINDS.get({"stepfunctions": "states"}.get(service, service), _safe(type_) or "a resource without a type")
    return Target(f"{part.resource}, {label}", elsewhere=_ELSEWHERE)


def _stream(name: str, holes: tuple[Part, ...], resolver: Resolver) -> Target:
    """
    Return the delivery stream of an ARN, found in the template by its reference or its name.
    """
    reference = next((part.resource for part in holes if isinstance(part, Reference)), None)
    for resource in resolver.template.resources:
        if resolver.template.type_of(resource) != DELIVERY_STREAM:
            continue
        if resource == reference or resolver.partly(Node(Reference(resource, "Ref"), 1)) == (name,):
            return Target(f"the delivery stream {resource}", stream=resource)
    shown = "of another stack" if _HOLE in name else _safe(name)
    return Target(f"the delivery stream {shown}")


def _function(rest: str, holes: tuple[Part, ...], resolver: Resolver) -> str:
    labels = (resolver.template.label(part.resource) for part in holes if isinstance(part, Reference))
    reference = next(labels, None)
    name = rest.removeprefix("function:").partition(":")[0]
    return reference or ("of another stack" if _HOLE in name or not name else _safe(name))


def _with_holes(parts: tuple[Part, ...]) -> tuple[str, tuple[Part, ...]]:
    """
    Return the text of parts with a mark for each one that is not known, and those.
    """
    text = "".join(part if isinstance(part, str) else _HOLE for part in parts)
    return text, tuple(part for part in parts if not isinstance(part, str))


def _why(holes: tuple[Part, ...]) -> str:
    unknown = next((part.reason for part in holes if isinstance(part, Unknown)), None)
    reference = next((part for part in holes if isinstance(part, Reference)), None)
    if unknown is None and reference is not None:
        return f"{reference.resource}.{reference.attribute} is known only when {reference.resource} is deployed"
    return unknown or "it is not an ARN"


def _safe(text: str) -> str:
    return text if len(text) <= 128 and text.isprintable() else "(not printable)"
