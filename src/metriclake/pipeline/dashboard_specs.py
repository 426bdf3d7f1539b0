"""
What the pipeline file says of dashboards and of the pages that embed them, and what of it can be judged by itself.

Whether a tile's question can be asked is judged where questions are read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from metriclake.pipeline.document import Place
from metriclake.pipeline.spec import Duration, Spec, duration

DEFAULT = "default"
"""The dashboard that every tenant has: the file's own of this name, or one that is made of the tenant's metrics."""

COLUMNS = 12
MAX_TILES = 40
"""With a question or two a tile, and one a filter, all of a page is one request."""

MAX_FILTERS = 5
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_HOST = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\]")

Note = Callable[[Place, str, str], None]
"""Takes note of a fault: where it stands in the file, what it is, and what to do."""

Kind = Literal["line", "area", "bar", "stacked_bar", "donut", "heatmap", "table", "value"]


class TileSpec(Spec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    One tile of a dashboard: a question without its range, and how the answer looks.

    `width` is in twelfths of the page, `height` in rows. `good` says which direction of a number is welcome.
    """

    kind: Kind = "line"
    metric: str
    measure: str | None = None
    aggregate: str | None = None
    group_by: list[str] = []
    filters: list[dict[str, Any]] = []
    limit: int | None = None
    interval: str = "auto"
    range: str | None = None
    compare: bool = False
    title: Annotated[str, msgspec.Meta(max_length=120)] | None = None
    description: Annotated[str, msgspec.Meta(max_length=400)] | None = None
    unit: Annotated[str, msgspec.Meta(max_length=32)] | None = None
    decimals: Annotated[int, msgspec.Meta(ge=0, le=6)] | None = None
    good: Literal["up", "down"] | None = None
    width: Annotated[int, msgspec.Meta(ge=1, le=COLUMNS)] | None = None
    height: Annotated[int, msgspec.Meta(ge=1, le=8)] | None = None


class DashboardSpec(Spec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    A page of tiles, with the ranges and the dimensions that its reader may choose of.
    """

    title: Annotated[str, msgspec.Meta(max_length=120)] | None = None
    ranges: list[str] = msgspec.field(default_factory=lambda: ["24h", "7d", "30d", "90d"])
    range: str | None = None
    refresh: Duration = "15s"
    filters: list[str] = []
    tiles: list[TileSpec] = []

    @property
    def first_range(self) -> str:
        """
        Return the range that is shown at first.
        """
        usual = "30d" if "30d" in self.ranges else self.ranges[0]
        return usual if self.range is None else self.range


class EmbeddingSpec(Spec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    Which pages may show charts: `origins` such as `https://app.example.com`, or `https://*.example.com`.
    """

    origins: list[str] = []


def check(dashboards: dict[str, DashboardSpec], embedding: EmbeddingSpec, note: Note) -> None:
    """
    Note what has the right types and still cannot be.
    """
    for name, dashboard in dashboards.items():
        place: Place = ("dashboards", name)
        if not is_dashboard_name(name):
            note(place, f"`{name}` cannot name a dashboard", "1 to 64 of a-z, 0-9, _ and -, not starting with _ or -")
        for at, what, hint in _faults(dashboard):
            note((*place, *at), what, hint)
    for index, origin in enumerate(embedding.origins):
        if not is_origin(origin):
            hint = "such as https://app.example.com or https://*.example.com: no path, no slash at the end"
            note(("embedding", "origins", index), "is not an origin", hint)


def _faults(dashboard: DashboardSpec) -> Iterator[tuple[Place, str, str]]:
    if not dashboard.tiles:
        yield ("tiles",), "a dashboard has at least one tile", "add `tiles:` with a `metric`"
    if len(dashboard.tiles) > MAX_TILES:
        yield ("tiles",), f"has more than {MAX_TILES} tiles", "make two dashboards of it"
    if not dashboard.ranges:
        yield ("ranges",), "names no range", "such as [7d, 30d]"
    elif dashboard.first_range not in dashboard.ranges:
        yield ("range",), "is not one of `ranges`", f"one of: {', '.join(dashboard.ranges)}"
    if len(dashboard.filters) > MAX_FILTERS:
        yield ("filters",), f"has more than {MAX_FILTERS} filters", "filter the rest in the tiles"
    if not 1 <= duration(dashboard.refresh).total_seconds() <= 86_400:
        yield ("refresh",), "must be at least 1s and at most 1d", "new data is told at once where it can be"
    for index, tile in enumerate(dashboard.tiles):
        for what, hint in _tile_faults(tile):
            yield ("tiles", index), what, hint


def _tile_faults(tile: TileSpec) -> Iterator[tuple[str, str]]:
    groups = len(tile.group_by)
    if tile.kind == "value" and (groups or tile.limit is not None):
        yield "a `value` is one number: it has no `group_by` and no `limit`", "for one number a group take `bar`"
    if tile.kind == "donut" and groups != 1:
        yield "a `donut` needs one dimension in `group_by`", "its parts are that dimension's values"
    if tile.kind == "heatmap" and groups not in (1, 2):
        yield "a `heatmap` needs one or two dimensions in `group_by`", "one is laid out over time, two as a table"
    if tile.kind in ("donut", "stacked_bar") and not additive(tile):
        yield f"a `{tile.kind}` adds up its parts", "take `count`, `sum` or `rate`, or another kind"
    if tile.compare and tile.kind not in ("line", "area", "bar"):
        yield f"`compare` draws a line beside a line or bars, not in a `{tile.kind}`", "a `value` compares by itself"
    if tile.compare and groups:
        yield "`compare` stands beside one series, without `group_by`", "leave one of the two out"


def additive(tile: TileSpec) -> bool:
    """
    Tell whether a tile's parts add up to its whole.
    """
    return (tile.aggregate or ("count" if tile.measure is None else "sum")) in ("count", "sum", "rate")


def is_dashboard_name(text: str) -> bool:
    """
    Tell whether `text` may name a dashboard.
    """
    return _NAME.fullmatch(text) is not None


def is_origin(text: str) -> bool:
    """
    Tell whether `text` is an origin as browsers send it, or one with `*.` in the place of subdomains.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    host = text.partition("://")[2].removesuffix(f":{port}")
    return parts.scheme in ("http", "https") and _HOST.fullmatch(host) is not None


def allows(origins: list[str], origin: str) -> bool:
    """
    Tell whether a page's origin is one of those, or a subdomain of one that is written with `*.`.
    """
    return any(origin == known or _below(known, origin) for known in origins)


def _below(known: str, origin: str) -> bool:
    head, star, rest = known.partition("*.")
    if not star or not origin.startswith(head) or not origin.endswith(f".{rest}"):
        return False
    return re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*", origin[len(head) : -len(rest) - 1]) is not None
