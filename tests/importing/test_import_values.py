"""
What a template's functions and variables stand for, and why some cannot be told.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from metriclake._errors import InvalidTemplate
from metriclake.importing.intrinsics import Resolver, as_json
from metriclake.importing.limits import Budget
from metriclake.importing.node import Node, Unresolved
from metriclake.importing.reading import is_serverless, read
from metriclake.importing.template import template_of
from metriclake.importing.variables import Variables

CASES = Path(__file__).parents[1] / "cases"
SECTIONS: dict[str, Any] = {
    "Parameters": {
        "Stage": {"Type": "String", "Default": "dev"},
        "Size": {"Type": "Number", "Default": 7},
        "Names": {"Type": "CommaDelimitedList", "Default": "a, b"},
        "Team": {"Type": "String"},
        "Stored": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/x"},
    },
    "Mappings": {"Buses": {"dev": {"name": "orders-dev", "types": ["x", "y"]}}},
    "Conditions": {
        "IsDev": {"Fn::Equals": [{"Ref": "Stage"}, "dev"]},
        "IsOurs": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Team"}, "theirs"]}]},
        "IsDevOrOurs": {"Fn::Or": [{"Condition": "IsOurs"}, {"Condition": "IsDev"}]},
        "IsDevAndOurs": {"Fn::And": [{"Condition": "IsOurs"}, {"Condition": "IsDev"}]},
        "IsItself": {"Fn::Not": [{"Condition": "IsItself"}]},
        "IsWrong": {"Fn::Sub": "x"},
    },
    "Resources": {
        "Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": {"Fn::Sub": "bus-${Stage}"}}},
        "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "findings"}},
        "Table": {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": {"Fn::Sub": "t-${AWS::StackName}"}}},
        "Queue": {"Type": "AWS::SQS::Queue"},
    },
}
SERVICE: dict[str, Any] = {
    "service": "shop",
    "provider": {"name": "aws", "stage": "qa"},
    "params": {"qa": {"a": "qa-a"}, "default": {"a": "any-a", "b": "any-b"}},
    "custom": {
        "bus": "orders",
        "buses": {"x": "b"},
        "which": "x",
        "list": ["one", "two"],
        "pattern": {"source": ["${self:custom.bus}"]},
        "first": "${self:custom.second}!",
        "second": "${self:custom.bus}",
        "loop": "${self:custom.loop}",
    },
}


def rows(file: str) -> list[Any]:
    """
    Return the rows of a table as parameters of a test.
    """
    lines = (CASES / file).read_text("utf-8").splitlines()
    return [pytest.param(row, id=row["id"]) for row in map(json.loads, lines)]


def resolver_of(whole: dict[str, Any], given: dict[str, str]) -> tuple[Resolver, Node]:
    """
    Return what resolves the values of a template, and its root.
    """
    root = read(json.dumps(whole), "t")
    budget = Budget("t")
    variables = Variables(root, given, budget.take, active=is_serverless(root))
    template = template_of(root, "t", variables, lambda _note: None)
    return Resolver(template, given, variables, budget), root


def resolved(whole: dict[str, Any], given: dict[str, str]) -> Any:
    """
    Return what stands under the key `Value` of a template, as plain data.
    """
    resolver, root = resolver_of(whole, given)
    node = root.get("Value")
    assert node is not None
    return json.loads(as_json(resolver.plain(resolver.resolve(node))))


@pytest.mark.parametrize("row", rows("import_values.jsonl"))
def test_functions(row: dict[str, Any]) -> None:
    """
    Every row: a value of CloudFormation stands for this, or cannot be told for this reason.
    """
    check(row, {**SECTIONS, "Value": row["value"]})


@pytest.mark.parametrize("row", rows("import_variables.jsonl"))
def test_variables(row: dict[str, Any]) -> None:
    """
    Every row: a text of a serverless.yml stands for this, or cannot be told for this reason.
    """
    check(row, {**SERVICE, "Value": row["text"]})


def check(row: dict[str, Any], whole: dict[str, Any]) -> None:
    """
    Hold a value against its row.
    """
    if "why" not in row:
        assert resolved(whole, row.get("given", {})) == row["is"]
        return
    with pytest.raises(Unresolved) as unresolved:
        resolved(whole, row.get("given", {}))
    assert row["why"] in unresolved.value.reason


def test_variables_are_left_alone_elsewhere() -> None:
    """
    In a template of CloudFormation, `${self:…}` is text.
    """
    assert resolved({**SECTIONS, "Value": "${self:custom.bus}"}, {}) == "${self:custom.bus}"


def test_variables_of_a_service_go_before_functions() -> None:
    """
    In a serverless.yml, variables are filled also inside of functions, before those are worked out.
    """
    whole = {**SERVICE, "Value": {"Fn::Sub": "${self:custom.bus}-${AWS::Partition}"}}

    assert resolved(whole, {}) == "orders-aws"


def doubling(levels: int) -> Any:
    """
    Return a value that is twice as long with each level.
    """
    value: Any = "x"
    for _ in range(levels):
        value = {"Fn::Sub": ["${a}${a}", {"a": value}]}
    return value


def test_text_does_not_grow_without_end() -> None:
    """
    A text that doubles at each level is given up at 65,536 characters.
    """
    assert len(resolved({"Value": doubling(16)}, {})) == 65_536
    with pytest.raises(Unresolved, match="becomes longer than 65,536 characters"):
        resolved({"Value": doubling(18)}, {})


def service(value: str, **custom: Any) -> dict[str, Any]:
    """
    Return a serverless.yml with a value, and what stands below `custom`.
    """
    return {**SERVICE, "custom": custom, "Value": value}


def conditions(count: int) -> dict[str, Any]:
    """
    Return a template whose first condition asks for the next one twice, and so on.
    """
    chain = {f"C{n}": {"Fn::And": [{"Condition": f"C{n + 1}"}] * 2} for n in range(count)}
    return {"Value": {"Fn::If": ["C0", 1, 2]}, "Conditions": chain}


ENDLESS = {
    "map-of-itself": (
        {
            "Value": {"Fn::FindInMap": ["m", "a", "b"]},
            "Mappings": {"m": {"a": {"b": {"Fn::FindInMap": ["m", "a", "b"]}}}},
        },
        "goes through more than 64 levels",
    ),
    "mapping-in-itself": (
        service("${self:custom.a}", a={"b": "${self:custom.a}"}),
        "goes through more than 64 levels",
    ),
    "long-way": (
        service("${self:custom.a0}", **{f"a{n}": f"x${{self:custom.a{n + 1}}}" for n in range(2000)}),
        "leads back to itself, or through more than 30 others",
    ),
    "conditions": (conditions(2000), "cannot be decided"),
    "many-variables": (service("${self:custom.a}", a="${self:service}" * 200), "has more than 100 variables"),
    "long-text": (service("${self:custom.a}", a="${A}" * 20_000), "is longer than 65,536 characters"),
}


@pytest.mark.parametrize(("whole", "said"), ENDLESS.values(), ids=ENDLESS)
def test_what_leads_nowhere_ends(whole: dict[str, Any], said: str) -> None:
    """
    Values that lead to themselves, or through very many others, are given up with a reason.
    """
    with pytest.raises(Unresolved) as unresolved:
        resolved(whole, {})
    assert said in unresolved.value.reason


@pytest.mark.parametrize(
    "whole",
    [
        {"Value": {"Fn::FindInMap": ["m", "k0", "v"]},
         "Mappings": {"m": {f"k{n}": {"v": [{"Fn::FindInMap": ["m", f"k{n + 1}", "v"]}] * 10} for n in range(20)}}},
        {**SERVICE, "Value": "${self:custom.a0}",
         "custom": {f"a{n}": [f"${{self:custom.a{n + 1}}}"] * 10 for n in range(20)}},
    ],
    ids=["maps", "variables"],
)  # fmt: skip
def test_what_grows_by_its_references_is_refused(whole: dict[str, Any]) -> None:
    """
    A template whose references lead to more values than it may hold is refused as a whole.
    """
    with pytest.raises(InvalidTemplate, match="its references lead to more than 200,000 values"):
        resolved(whole, {})
