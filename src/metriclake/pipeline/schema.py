"""
The JSON Schema of the pipeline file, made of its model: for editors that complete and check as you type.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from metriclake.pipeline.destination_specs import KINDS
from metriclake.pipeline.model import Pipeline
from metriclake.pipeline.spec import Spec


def json_schema() -> dict[str, Any]:
    """
    Return the JSON Schema of the pipeline file, for editors: what this version reads, and nothing of later ones.
    """
    (schema, *_), parts = msgspec.json.schema_components([Pipeline, *KINDS.values()], ref_template="#/$defs/{name}")
    parts["Pipeline"]["properties"]["destinations"] = _destinations_schema()
    del parts["DestinationSpec"]
    kinds: dict[str, type[Spec]] = {kind.__name__: kind for kind in _kinds(Spec)}
    for name, part in parts.items():
        _without_later(part, kinds[name].later)
    parts["MetricSpec"]["anyOf"] = [
        {"required": ["metadata", "data"]},
        {"required": ["input_path"]},
        {"required": ["input_template"]},
    ]
    parts["FieldSpec"] = {"anyOf": [{"type": "string", "pattern": r"^\$"}, parts["FieldSpec"]]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "metriclake.yaml",
        **schema,
        "$defs": parts,
    }


def _destinations_schema() -> dict[str, Any]:
    """
    Return the schema of a mapping whose values are of the kind that their `type` says, or else their name.
    """
    kinds = [
        {"required": ["type"], "properties": {"type": {"const": kind}}, "$ref": f"#/$defs/{spec.__name__}"}
        for kind, spec in KINDS.items()
    ]
    named = {
        kind: {"if": {"required": ["type"]}, "then": {"anyOf": kinds}, "else": {"$ref": f"#/$defs/{spec.__name__}"}}
        for kind, spec in KINDS.items()
    }
    return {"type": "object", "properties": named, "additionalProperties": {"anyOf": kinds}, "default": {}}


def _kinds(of: type[Spec]) -> Iterator[type[Spec]]:
    """
    Yield the parts of the model, and the parts that are made of them.
    """
    for kind in of.__subclasses__():
        yield kind
        yield from _kinds(kind)


def _without_later(part: dict[str, Any], later: dict[str, tuple[Any, ...] | None]) -> None:
    for key, values in later.items():
        if values is not None and "enum" in part["properties"].get(key, {}):
            part["properties"][key]["enum"] = [one for one in part["properties"][key]["enum"] if one not in values]
