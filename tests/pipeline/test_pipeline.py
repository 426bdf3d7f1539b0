"""
The pipeline file: its defaults, its places, and all its faults at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from metriclake._errors import InvalidPipeline
from metriclake.pipeline import BufferSpec, FieldSpec, Pipeline, StoreSpec, json_schema, load, parse
from metriclake.pipeline.spec import duration
from metriclake.tiers import Stay, Tiers

FILE = Path("p.yaml")
CASES = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "cases" / "pipeline_faults.jsonl").read_text("utf-8").splitlines()
]
METRIC = """
metrics:
  uploads:
    bus: findings
    pattern: {source: [findings]}
    metadata: {tenant_id: $.detail.tenant_id}
    data:
      event_time: $.time
      size: {path: $.detail.size, type: integer, unit: bytes}
      one: {value: 1}
"""


def faults_of(text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """
    Return the faults of a pipeline file's text, none for a pipeline.
    """
    try:
        parse(text, FILE, environ or {})
    except InvalidPipeline as error:
        return [str(fault) for fault in error.faults] or ["refused without a fault"]
    return []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_faults(case: dict[str, Any]) -> None:
    """
    Every row of the table: a file has exactly these faults, each with its place and a hint.
    """
    found = faults_of(case["text"], case.get("environ", {}))

    assert len(case["faults"]) == len(found), found
    assert all(any(one.startswith(fault) for one in found) for fault in case["faults"]), found


def test_defaults() -> None:
    """
    An empty file is a pipeline with the documented defaults.
    """
    pipeline = parse("", FILE, {}).pipeline

    assert pipeline == Pipeline()
    assert (pipeline.stream.buffer, pipeline.stream.compression) == (BufferSpec(seconds=60, megabytes=5), "zstd")
    assert pipeline.store == StoreSpec(url=None, hot="14d", retention="365d")
    assert (pipeline.tenants.file, pipeline.tenants.unknown, pipeline.tenants.unavailable) == (None, "accept", "pass")


def test_lengths_of_their_own_are_read() -> None:
    """
    What a metric or a tenant says of its own are tiers; of what is left out it says nothing.
    """
    text = "store: {hot: 1d, metrics: {m: {retention: 1w}}, tenants: {acme: {hot: 2d}, b: {hot: 2h, retention: 3y}}}"
    tiers = parse(text, FILE, {}).pipeline.store.tiers()

    assert tiers == Tiers(
        timedelta(days=1),
        timedelta(days=365),
        metrics={"m": Stay(retention=timedelta(days=7))},
        tenants={
            "acme": Stay(hot=timedelta(days=2)),
            "b": Stay(timedelta(hours=2), timedelta(days=1095)),
        },
    )
    of = {(tenant, metric): tiers.retention_of(tenant, metric).days for tenant in ("acme", "b", "c") for metric in "mn"}
    assert of == {
        ("acme", "m"): 7,
        ("acme", "n"): 365,
        ("b", "m"): 1095,
        ("b", "n"): 1095,
        ("c", "m"): 7,
        ("c", "n"): 365,
    }


def test_metric_is_read() -> None:
    """
    A bare string is a path; a mapping may say more.
    """
    metric = parse(METRIC, FILE, {}).pipeline.metrics["uploads"]

    assert (metric.bus, metric.pattern) == ("findings", {"source": ["findings"]})
    assert metric.metadata == {"tenant_id": FieldSpec(path="$.detail.tenant_id")}
    assert metric.data == {
        "event_time": FieldSpec(path="$.time"),
        "size": FieldSpec(path="$.detail.size", type="integer", unit="bytes"),
        "one": FieldSpec(value=1),
    }


def test_dates_are_text() -> None:
    """
    A date in a pattern is the text that an event would hold.
    """
    text = METRIC.replace("{source: [findings]}", "{detail: {day: [2026-01-31]}}")

    assert parse(text, FILE, {}).pipeline.metrics["uploads"].pattern == {"detail": {"day": ["2026-01-31"]}}


@pytest.mark.parametrize("value", ["123456789012345678901234567890", ".nan", ".inf", "!!binary aGk="])
def test_odd_constants_are_read_or_refused(value: str) -> None:
    """
    Whatever YAML can write where a constant stands, the answer is a pipeline or its faults.
    """
    assert all(faults_of(METRIC.replace("{value: 1}", f"{{value: {value}}}")))


def test_variables_are_filled() -> None:
    """
    `${NAME}` is the environment's, also several times and inside of text.
    """
    loaded = parse("lake: file://${ROOT}/${NAME}/${NAME}\n", FILE, {"ROOT": "/data", "NAME": "x"})

    assert loaded.pipeline.lake == "file:///data/x/x"


def test_places_of_values() -> None:
    """
    Each value has its place; of what the file lacks, the nearest part that it has.
    """
    loaded = parse(METRIC, FILE, {})

    assert loaded.place("metrics", "uploads", "data", "size", "type") == "p.yaml:9:35"
    assert loaded.place("metrics", "uploads", "pattern", "source", 0, "x") == "p.yaml:5:24"
    assert loaded.place("metrics", "other") == "p.yaml:2:1"
    assert loaded.place("nothing") == "p.yaml:2:1"


def test_version_is_of_what_the_file_says() -> None:
    """
    Comments, order and layout do not make another version; a changed value does.
    """
    base = parse("stream: {future: 15m}\nlake: file:///x\n", FILE, {}).version

    assert base == parse("# same\nlake: 'file:///x'\nstream:\n  future: 15m\n", Path("other.yaml"), {}).version
    assert base != parse("stream: {future: 14m}\nlake: file:///x\n", FILE, {}).version
    assert 0 <= base < 2**52


def test_file_is_read_with_paths_relative_to_it(tmp_path: Path) -> None:
    """
    A relative path in the file means: beside the file.
    """
    (tmp_path / "p.yaml").write_text("tenants: {file: tenants.yaml}\n")
    loaded = load(tmp_path / "p.yaml", {})

    assert loaded.pipeline.tenants.file == "tenants.yaml"
    assert loaded.resolve("tenants.yaml") == (tmp_path / "tenants.yaml").resolve()
    assert loaded.resolve("/else/where") == Path("/else/where")


@pytest.mark.parametrize(
    ("content", "said"), [(None, "cannot be read: No such file"), (b"a: \xff", "is not UTF-8 text")]
)
def test_file_that_cannot_be_read_is_said(tmp_path: Path, content: bytes | None, said: str) -> None:
    """
    A missing or binary file is a fault that says how to get a first one.
    """
    path = tmp_path / "p.yaml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(InvalidPipeline, match=said) as refused:
        load(path, {})
    assert "metriclake init" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("250ms", timedelta(milliseconds=250)),
        ("1s", timedelta(seconds=1)),
        ("90m", timedelta(minutes=90)),
        ("12h", timedelta(hours=12)),
        ("14d", timedelta(days=14)),
        ("2w", timedelta(days=14)),
        ("1y", timedelta(days=365)),
    ],
)
def test_duration(text: str, length: timedelta) -> None:
    """
    A duration is a whole number and a unit.
    """
    assert duration(text) == length


@pytest.mark.parametrize("text", ["", "14", "d", "1.5h", "-1d", "1 d", "1d ", "1D", "1234567s", "1d\n"])
def test_no_duration(text: str) -> None:
    """
    Anything else is none.
    """
    with pytest.raises(ValueError, match="not a duration"):
        duration(text)


def test_deep_nesting_is_refused() -> None:
    """
    A file nested beyond reason is refused and not fatal.
    """
    for depth in (100, 5000):
        with pytest.raises(InvalidPipeline, match="nested deeper than 64 levels"):
            parse("a: " + "[" * depth + "]" * depth, FILE, {})


@given(st.text(alphabet="ab:[]{},&*!'\"$#>|%@-? \n\t0.", max_size=40))
def test_any_text_is_a_pipeline_or_faulty(text: str) -> None:
    """
    Whatever the file holds, the answer is a pipeline or faults with places.
    """
    assert all(fault.startswith("p.yaml") for fault in faults_of(text))


def test_schema_reads_what_check_reads() -> None:
    """
    The JSON Schema takes the sample file and refuses an unknown key, a value of a later version and a wrong type.
    """
    schema = Draft202012Validator(json_schema())
    sample = files("metriclake.samples").joinpath("metriclake.yaml").read_text(encoding="utf-8")

    assert list(schema.iter_errors(yaml.safe_load(sample))) == []
    metric = {"pattern": {"source": ["s"]}}
    written = (
        {"metadata": {"tenant_id": "$.t"}, "data": {"event_time": "$.time"}},
        {"input_path": "$.detail", "data": {"n": {"unit": "ms"}}},
        {"input_paths": {"t": "$.t"}, "input_template": "{}"},
    )
    own = {"metrics": {"m": {"hot": "1d"}}, "tenants": {"acme": {"retention": "3y"}}}
    assert list(schema.iter_errors({"store": own})) == []
    for form in written:
        assert list(schema.iter_errors({"metrics": {"m": {**metric, **form}}})) == []
    assert list(schema.iter_errors({"metrics": {"m": {**metric, "input_paths": {"t": "$.t"}}}})) != []
    wrongs: tuple[Any, ...] = (
        {"strem": {}},
        {"stream": {"compression": "lz4"}},
        {"store": {"tenants": {"acme": {"retention": "3 years"}}}},
        {"metrics": {"m": {"pattern": []}}},
    )
    for wrong in wrongs:
        assert list(schema.iter_errors(wrong)) != []


@pytest.mark.parametrize(
    ("written", "rollups"),
    [
        ("", ((), ("kind",), ("region",))),
        (", rollup: true", ((), ("kind",), ("region",))),
        (", rollup: false", ()),
        (", rollup: []", ((),)),
        (", rollup: [region, kind]", (("region", "kind"),)),
        (", rollup: [[], [tenant_plan]]", ((), ("tenant_plan",))),
    ],
)
def test_rollups_of_a_metric(written: str, rollups: tuple[tuple[str, ...], ...]) -> None:
    """
    A metric has a rollup without dimensions and one for each that it declares, unless it says otherwise.
    """
    fields = "metadata: {tenant_id: $.t, event_id: $.i, kind: $.k, region: $.r}, data: {event_time: $.time}"
    text = f"metrics: {{m: {{pattern: {{source: [s]}}, {fields}{written}}}}}\n"

    assert parse(text, FILE, {}).pipeline.metrics["m"].rollups == rollups


def test_rollups_of_many_dimensions_are_few() -> None:
    """
    Of very many dimensions the first ones have a rollup by default.
    """
    fields = ", ".join(f"d{index}: $.d" for index in range(20))
    metadata = f"{{tenant_id: $.t, {fields}}}"
    text = f"metrics: {{m: {{pattern: {{source: [s]}}, metadata: {metadata}, data: {{event_time: $.t}}}}}}\n"

    found = parse(text, FILE, {}).pipeline.metrics["m"].rollups

    assert found == ((), *((f"d{index}",) for index in range(7)))


@pytest.mark.parametrize(
    ("destinations", "fits"),
    [
        ({"segment": {"write_key": "k", "metrics": {"m": {"properties": {"A": "data.a"}}}}}, True),
        ({"staging": {"type": "segment", "write_key": "k", "retry": {"tries": 3}}}, True),
        ({"segment": {"type": "python", "call": "m:f"}}, True),
        ({}, True),
        ({"segment": {}}, False),
        ({"staging": {"write_key": "k"}}, False),
        ({"staging": {"type": "kafka"}}, False),
        ({"segment": {"write_key": "k", "call": "m:f"}}, False),
        ({"segment": {"type": "python", "write_key": "k"}}, False),
    ],
)
def test_schema_reads_destinations(destinations: dict[str, Any], *, fits: bool) -> None:
    """
    The JSON Schema has the settings of each kind, by `type` or by name, as the check has.
    """
    written = {"destinations": destinations, "metrics": {"m": {"pattern": {"source": ["s"]}, "input_path": "$.detail"}}}

    assert (list(Draft202012Validator(json_schema()).iter_errors(written)) == []) == fits
    assert (faults_of(json.dumps(written)) == []) == fits


def test_a_destination_shows_no_key() -> None:
    """
    The text of what was read holds no key, no URL and no secret.
    """
    text = "destinations: {segment: {write_key: hunter2, url: 'https://host.example/hunter2'}}"

    assert "hunter2" not in repr(parse(text, FILE, {}))
    assert "SegmentSpec(…)" in repr(parse(text, FILE, {}))
