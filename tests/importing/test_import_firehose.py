"""
What a delivery stream's prefixes and hints become where they cannot all be carried.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from metriclake.importing import Imported, Wishes, import_template
from metriclake.plans import faults_of

DEFAULTS = {"buffer": {"seconds": 300, "megabytes": 5}, "compression": "none"}


def imported(**s3: Any) -> Imported:
    """
    Import a delivery stream with these properties.
    """
    properties = {"ExtendedS3DestinationConfiguration": s3}
    resources = {"S": {"Type": "AWS::KinesisFirehose::DeliveryStream", "Properties": properties}}
    text = json.dumps({"Resources": resources, "Parameters": {"Open": {"Type": "String"}}})
    return import_template(text, "t", Wishes({}), lambda found: faults_of(found, Path("metriclake.yaml")))


@pytest.mark.parametrize(
    ("given", "kept", "said"),
    [
        ({}, {"prefix": "", "error_prefix": ""}, []),
        ({"Prefix": "legacy"}, {"prefix": "legacy", "error_prefix": ""}, []),
        (
            {"Prefix": "a/!{timestamp:yyyy}/"},
            {"prefix": "a/!{timestamp:yyyy}/"},
            ["ErrorOutputPrefix: may be empty only if `prefix` has no expression"],
        ),
        ({"Prefix": "/a/"}, {}, ["Prefix: has an empty folder, or one that is `.` or `..`"]),
        (
            {"Prefix": "Archive/", "ErrorOutputPrefix": "e/!{timestamp:yyyy}/"},
            {},
            [
                "ErrorOutputPrefix: has expressions, and so must have !{firehose:error-output-type}",
                "Prefix: begins with Archive/ or Manifest/, where the lake keeps something else",
            ],
        ),
        (
            {"Prefix": {"Ref": "Open"}, "ErrorOutputPrefix": "e/"},
            {"error_prefix": "e/"},
            ["Prefix: the parameter Open has no default: give --parameter Open=VALUE"],
        ),
        (
            {"Prefix": "a/t=!{partitionKeyFromLambda:t}-!{partitionKeyFromQuery:u}/b/", "ErrorOutputPrefix": "e/"},
            {"prefix": "a/b/", "error_prefix": "e/"},
            ["Prefix: there is no dynamic partitioning: folders of partition keys were taken out"],
        ),
    ],
    ids=["none", "plain", "no-errors", "empty-folder", "both", "not-known", "partitioned"],
)
def test_prefixes(given: dict[str, Any], kept: dict[str, str], said: list[str]) -> None:
    """
    A prefix that the lake cannot have is listed with the reason, and the other one is kept where it can stand alone.
    """
    found = imported(**given)

    assert found.pipeline["stream"] == {**DEFAULTS, **kept}
    assert [f"{note.what}: {note.reason}".removesuffix("; the default was left") for note in found.not_carried] == said


@pytest.mark.parametrize(
    ("hints", "buffer", "said"),
    [
        ({"IntervalInSeconds": 0, "SizeInMBs": 128}, {"seconds": 5, "megabytes": 128}, []),
        ({"IntervalInSeconds": "900", "SizeInMBs": "1"}, {"seconds": 900, "megabytes": 1}, []),
        ({"IntervalInSeconds": 901}, {"seconds": 300, "megabytes": 5}, ["BufferingHints.IntervalInSeconds"]),
        ({"SizeInMBs": 0}, {"seconds": 300, "megabytes": 5}, ["BufferingHints.SizeInMBs"]),
        ({"SizeInMBs": [1], "IntervalInSeconds": {"Ref": "Open"}}, {"seconds": 300, "megabytes": 5},
         ["BufferingHints.IntervalInSeconds", "BufferingHints.SizeInMBs"]),
    ],
    ids=["at-once", "texts", "too-long", "too-small", "not-known"],
)  # fmt: skip
def test_buffer(hints: dict[str, Any], buffer: dict[str, int], said: list[str]) -> None:
    """
    Hints in Firehose's range are kept; for others, its defaults are written, and that is listed.
    """
    found = imported(BufferingHints=hints)

    assert found.pipeline["stream"]["buffer"] == buffer
    assert [note.what for note in found.not_carried] == said
