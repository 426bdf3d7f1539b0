"""
The documentation names what there is, and its links lead somewhere.
"""

from __future__ import annotations

import re
from pathlib import Path

import click
import msgspec
import pytest

from metriclake import _config
from metriclake.cli import main
from metriclake.event import DropReason
from metriclake.pipeline import dashboard_specs, model
from metriclake.pipeline.destination_specs import (
    KINDS,
    DestinationSpec,
    HubSpotCompaniesSpec,
    HubSpotEventsSpec,
    MappingSpec,
    MixpanelAccountSpec,
    RetrySpec,
)
from metriclake.pipeline.spec import Spec

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links(page: Path) -> None:
    """
    Every relative link of a page leads to a file.
    """
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    dead = [link for link in links if "://" not in link and not (page.parent / link).exists()]

    assert dead == []


def test_every_key_of_the_pipeline_file() -> None:
    """
    Each key of the pipeline file has its place in docs/pipeline-file.md.
    """
    text = _text("docs/pipeline-file.md")
    specs = (
        model.TenantsSpec,
        model.HttpTenantsSpec,
        model.SqlTenantsSpec,
        model.StreamSpec,
        model.BufferSpec,
        model.StoreSpec,
        model.StaySpec,
        model.DiskSpec,
        model.GatewaySpec,
        model.LimitSpec,
        model.QuerySpec,
        model.QuestionsSpec,
        model.TenantQuestionsSpec,
        model.MetricSpec,
        model.FieldSpec,
        model.Pipeline,
        dashboard_specs.TileSpec,
        dashboard_specs.DashboardSpec,
        dashboard_specs.EmbeddingSpec,
    )
    keys = {entry.name for spec in specs for entry in msgspec.structs.fields(spec)}

    assert [key for key in sorted(keys) if not re.search(rf"\b{key}\b", text)] == []


def test_every_key_of_a_destination() -> None:
    """
    Each key of a destination has its place in docs/destinations.md, those of all of them in docs/pipeline-file.md.
    """
    shared = {
        entry.name for spec in (DestinationSpec, MappingSpec, RetrySpec) for entry in msgspec.structs.fields(spec)
    }
    kinds: tuple[type[Spec], ...] = (*KINDS.values(), MixpanelAccountSpec, HubSpotCompaniesSpec, HubSpotEventsSpec)
    own = {entry.name for kind in kinds for entry in msgspec.structs.fields(kind)} - shared
    pages = {"docs/pipeline-file.md": shared | set(KINDS), "docs/destinations.md": own | set(KINDS)}

    for page, keys in pages.items():
        assert [key for key in sorted(keys) if not re.search(rf"\b{key}\b", _text(page))] == []


def test_every_command() -> None:
    """
    Each command is named in docs/operating.md.
    """
    text = _text("docs/operating.md")
    assert isinstance(main, click.Group)

    assert [name for name in main.commands if f"`{name}`" not in text] == []


def test_every_reason() -> None:
    """
    Each reason of a refusal is explained in docs/operating.md.
    """
    text = _text("docs/operating.md")

    assert [reason for reason in DropReason if f"`{reason}`" not in text] == []


def test_every_variable() -> None:
    """
    Each environment variable is named in docs/operating.md; the one for tests in its module.
    """
    source = Path(_config.__file__).read_text(encoding="utf-8")
    variables = set(re.findall(r"METRICLAKE_[A-Z_]+", source)) - {"METRICLAKE_CRASH_AT"}

    assert [name for name in sorted(variables) if name not in _text("docs/operating.md")] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_runs(page: Path) -> None:
    """
    Every example in Python does what it says.
    """
    for example in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        exec(compile(example, str(page), "exec"), {})  # noqa: S102 - the examples are this repository's own


def test_every_decision_is_listed() -> None:
    """
    Each decision stands in the list of decisions.
    """
    decisions = sorted(path.name for path in ROOT.glob("docs/decisions/0*.md"))

    assert decisions == re.findall(r"\]\((0[^)]+)\)", _text("docs/decisions/README.md"))
