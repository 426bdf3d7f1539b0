"""
Whatever a template holds, the answer is a pipeline file that can be read, or a refusal.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from metriclake._errors import InvalidTemplate
from metriclake.importing import Imported, Wishes, import_template
from metriclake.importing.node import Number
from metriclake.importing.writing import Commented, written
from metriclake.plans import faults_of

LEFT = {"the key `tenant_id` is missing", "the key `event_time` is missing"}
TEXTS = st.one_of(
    st.sampled_from(
        ["", "x", "A", "a.b", "on", "012", "$.detail", "<a>", "# x", "a\n  b: c", "\x85\u2028", "{{resolve:x}}"]
    ),
    st.sampled_from(
        ["arn:aws:lambda:a:b:function:c", "arn:aws:firehose:a:b:deliverystream/S", "${S}", "${self:service}"]
    ),
    st.sampled_from(
        ['{"metric_name": "m", "metadata": {"tenant_id": <a>}, "data": {"event_time": <a>}}', '{"source": ["x"]}']
    ),
    st.text(max_size=5),
)
KEYS = st.one_of(
    st.sampled_from(
        [
            "Ref",
            "Fn::Sub",
            "Fn::GetAtt",
            "Fn::Join",
            "Fn::Select",
            "Fn::Split",
            "Fn::If",
            "Fn::FindInMap",
            "Fn::ImportValue",
        ]
    ),
    st.sampled_from(
        ["Arn", "Input", "InputPath", "InputTransformer", "InputPathsMap", "InputTemplate", "prefix", "$or"]
    ),
    TEXTS,
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-9, 9), st.floats(allow_nan=False, allow_infinity=False), TEXTS
)
ANYTHING = st.recursive(
    SCALARS,
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(KEYS, below, max_size=3)),
    max_leaves=8,
)


def mapping(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """
    Return mappings with some of these keys, and anything below them.
    """
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, ANYTHING))


TARGETS = st.fixed_dictionaries(
    {
        "Arn": st.one_of(
            ANYTHING, st.sampled_from([{"Fn::GetAtt": ["S", "Arn"]}, {"Ref": "F"}, "arn:aws:lambda:a:b:function:c"])
        )
    },
    optional={
        "Input": ANYTHING,
        "InputPath": ANYTHING,
        "InputTransformer": st.one_of(ANYTHING, mapping("InputPathsMap", "InputTemplate")),
    },
)
RULES = st.fixed_dictionaries(
    {
        "EventPattern": st.one_of(ANYTHING, st.just({"source": ["x"]})),
        "Targets": st.one_of(ANYTHING, st.lists(TARGETS, max_size=3)),
    },
    optional={"Name": ANYTHING, "EventBusName": ANYTHING, "State": ANYTHING, "Description": ANYTHING},
)
S3 = mapping(
    "BufferingHints", "CompressionFormat", "Prefix", "ErrorOutputPrefix", "ProcessingConfiguration", "BucketARN"
)
RESOURCES = st.fixed_dictionaries(
    {
        "R": st.builds(lambda properties: {"Type": "AWS::Events::Rule", "Properties": properties}, RULES),
        "S": st.builds(
            lambda s3: {
                "Type": "AWS::KinesisFirehose::DeliveryStream",
                "Properties": {"S3DestinationConfiguration": s3},
            },
            S3,
        ),
    },
    optional={"F": ANYTHING, "T": ANYTHING, "a\n# b": st.just({"Type": "AWS::Events::Archive"})},
)
SECTIONS = mapping("Parameters", "Mappings", "Conditions", "custom", "functions", "provider")


def imported(text: str) -> Imported | None:
    """
    Import a text; None where it is refused.
    """
    try:
        return import_template(text, "t", Wishes({}), lambda found: faults_of(found, Path("metriclake.yaml")))
    except InvalidTemplate:
        return None


def check_written(found: Imported | None) -> None:
    """
    Hold what was written against itself: the file says the data, and lacks nothing but mappings.
    """
    if found is None or not found.text:
        return
    assert yaml.safe_load(found.text) == found.pipeline
    assert {fault.what for fault in faults_of(found.text, Path("metriclake.yaml"))} <= LEFT


@settings(max_examples=80, deadline=None)
@given(RESOURCES, SECTIONS)
def test_any_template_is_imported_or_refused(resources: dict[str, Any], sections: dict[str, Any]) -> None:
    """
    A template with anything anywhere becomes a file that `check` reads.
    """
    check_written(imported(json.dumps({**sections, "Resources": resources})))


@settings(max_examples=40, deadline=None)
@given(RESOURCES, SECTIONS, st.dictionaries(st.sampled_from("fg"), st.fixed_dictionaries({"events": ANYTHING})))
def test_any_service_is_imported_or_refused(
    resources: dict[str, Any], sections: dict[str, Any], functions: dict[str, Any]
) -> None:
    """
    So does a serverless.yml.
    """
    whole = {"service": "s", **sections, "functions": functions, "resources": {"Resources": resources}}

    check_written(imported(json.dumps(whole)))


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="abR:[]{},&*!'\"$#>|%@-? \n\t0.", max_size=40))
def test_any_text_is_imported_or_refused(text: str) -> None:
    """
    So does any text at all.
    """
    check_written(imported(text))


LINES = st.text(alphabet="a \t\n:#<>\u202e☃", max_size=12)
SECTION = st.dictionaries(TEXTS, ANYTHING, min_size=1)


@given(st.dictionaries(st.sampled_from(["a", "b"]), SECTION, min_size=1), TEXTS, LINES)
def test_what_is_written_is_read_again(document: dict[str, Any], comment: str, template: str) -> None:
    """
    Whatever values a file holds, and whatever its comments are made of, it is read as it was meant.
    """
    document.setdefault("a", {})["input_template"] = template
    comments = Commented()
    comments.above[()] = (comment,)
    comments.above["a",] = (comment, comment)
    comments.behind.update({("a", name): comment for name in document.get("a", {})})

    assert yaml.safe_load(written(document, comments)) == document


@pytest.mark.parametrize("text", ["300.0", "1e3", "1E+3", "1.5e3", "-0.0", "1.5e-3", "9007199254740993", "0.10"])
def test_a_number_is_read_as_the_same_number(text: str) -> None:
    """
    A number keeps its spelling where YAML reads it so, and is the same number in any case.
    """
    line = written({"a": {"n": Number(text)}}, Commented()).splitlines()[1]

    assert yaml.safe_load(line.strip())["n"] == json.loads(text)
    assert "e" in text.lower() or line == f"  n: {text}"


def test_names_write_no_lines() -> None:
    """
    A resource whose name has line ends and colons stays inside its comment.
    """
    rule = {"EventPattern": {"source": ["x"]}, "Targets": [{"Arn": "arn:aws:lambda:a:b:function:c\nmetrics: {}"}]}
    name = "a\nlake: file:///etc\u2028b"

    found = imported(json.dumps({"Resources": {name: {"Type": "AWS::Events::Rule", "Properties": rule}}}))

    assert found is not None
    assert list(found.pipeline) == ["metrics"]
    assert [line for line in found.text.splitlines() if line.startswith(("lake", "b"))] == []
