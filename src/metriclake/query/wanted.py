"""
What an export is asked for: read from a URL's parameters with all their faults at once, then put to the catalogue.

Pure.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from metriclake._errors import Fault, InvalidQuestion
from metriclake.query.filters import MAX_FILTER_VALUES
from metriclake.query.names import unknown
from metriclake.query.question import EARLIEST, LATEST, parse
from metriclake.store import Condition, Dimension, Extract, Metric, Operator

MAX_COLUMNS = 2000
KEYS = ("format", "metric", "last", "from", "to", "filter", "csv")
_MANY = frozenset({"metric", "filter"})


class FileFormat(StrEnum):
    """
    The formats of an export; the values are also the ends of file names.
    """

    CSV = "csv"
    NDJSON = "ndjson"
    PARQUET = "parquet"
    ARROW = "arrow"

    @property
    def media(self) -> str:
        """
        Return the media type.
        """
        return _MEDIA[self]


_MEDIA = {
    FileFormat.CSV: "text/csv",
    FileFormat.NDJSON: "application/x-ndjson",
    FileFormat.PARQUET: "application/vnd.apache.parquet",
    FileFormat.ARROW: "application/vnd.apache.arrow.stream",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    An export that is well asked for: of these metrics or all, over [start, end), the time back from now, or all time.
    """

    form: FileFormat
    exact: bool = False
    metrics: tuple[str, ...] = ()
    last: timedelta | None = None
    start: datetime | None = None
    end: datetime | None = None
    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The values that each dimension may have."""


def read(parameters: Sequence[tuple[str, str]], accept: str | None) -> Wanted:
    """
    Read a URL's parameters; without `format` the `Accept` header decides. Raises InvalidQuestion with every fault.
    """
    faults = [_unknown_key(key) for key, _ in parameters if key not in KEYS]
    counts = Counter(key for key, _ in parameters)
    faults += [Fault(key, "stands there twice") for key in KEYS if counts[key] > 1 and key not in _MANY]
    given = dict(parameters)
    wanted = Wanted(
        form=_format(given.get("format"), accept, faults),
        exact=_choice("csv", given.get("csv", "safe"), ("safe", "exact"), faults) == "exact",
        metrics=tuple(dict.fromkeys(value for key, value in parameters if key == "metric")),
        filters=_filters([value for key, value in parameters if key == "filter"], faults),
    )
    last, start, end = _range({key: given[key] for key in ("last", "from", "to") if key in given}, faults)
    if faults:
        raise InvalidQuestion(tuple(faults))
    return replace(wanted, last=last, start=start, end=end)


def extract(wanted: Wanted, metrics: Mapping[str, Metric], upto: int, now: datetime) -> Extract:
    """
    Return what to read, of the metrics that the tenant has and the token allows. Raises InvalidQuestion.
    """
    faults = [unknown("metric", name, "metric", metrics) for name in wanted.metrics if name not in metrics]
    chosen = tuple(metrics[name] for name in sorted(wanted.metrics or metrics) if name in metrics)
    known = {name for metric in chosen for name in (*metric.dimensions, *metric.attributes)}
    if not faults:
        faults = [unknown("filter", name, "dimension", sorted(known)) for name in wanted.filters if name not in known]
    start, end = wanted.start or EARLIEST, wanted.end or LATEST
    if wanted.last is not None:
        start, end = max(EARLIEST, now - wanted.last), now
    conditions = (Condition(Dimension(name), Operator.IN, values) for name, values in wanted.filters.items())
    found = Extract(chosen, start, end, upto, tuple(conditions))
    columns = len(found.columns)
    if columns > MAX_COLUMNS:
        what = f"has {columns} columns over all these metrics, at most {MAX_COLUMNS} can be"
        faults.append(Fault("metric", what, "name some metrics"))
    if faults:
        raise InvalidQuestion(tuple(faults))
    return found


def file_name(wanted: Wanted, tenant: str, range_: tuple[datetime, datetime]) -> str:
    """
    Return the name of an export's file: of the tenant, the metric where it is one, and the range; safe everywhere.
    """
    what = wanted.metrics[0] if len(wanted.metrics) == 1 else "metrics"
    parts = [tenant, what]
    if wanted != replace(wanted, last=None, start=None, end=None):
        parts += [moment.strftime("%Y-%m-%d") for moment in range_]
    letters = (letter if letter.isalnum() or letter in "-_." else "-" for letter in "_".join(parts))
    return f"{''.join(letters)}.{wanted.form}"


def _unknown_key(key: str) -> Fault:
    near = difflib.get_close_matches(key, KEYS, n=1)
    return Fault(key[:60], "is not a parameter of an export", f"did you mean `{near[0]}`?" if near else "")


def _choice(key: str, value: str, options: Iterable[str], faults: list[Fault]) -> str:
    known = tuple(options)
    if value not in known:
        near = difflib.get_close_matches(value, known, n=1)
        hint = f"did you mean `{near[0]}`?" if near else ""
        faults.append(Fault(key, f"must be one of: {', '.join(known)}", hint))
    return value


def _format(value: str | None, accept: str | None, faults: list[Fault]) -> FileFormat:
    if value is None:
        return accepted(accept)
    return FileFormat(value) if _choice("format", value, FileFormat, faults) in tuple(FileFormat) else FileFormat.CSV


def accepted(header: str | None) -> FileFormat:
    """
    Return the format that an `Accept` header prefers; CSV where it names none of ours.
    """
    best, found = 0.0, FileFormat.CSV
    for part in (header or "").lower().split(","):
        media, *parameters = (piece.strip() for piece in part.split(";"))
        named = next((form for form in FileFormat if form.media == media), None)
        quality = next((_quality(text) for text in parameters if text.startswith("q=")), 1.0)
        if named is not None and quality > best:
            best, found = quality, named
    return found


def _quality(text: str) -> float:
    try:
        return float(text.removeprefix("q="))
    except ValueError:
        return 0.0


def _range(given: dict[str, str], faults: list[Fault]) -> tuple[timedelta | None, datetime | None, datetime | None]:
    """
    Read a range: the time back from now, or a start and an end, each open where it is not there.
    """
    if "last" in given and len(given) > 1:
        faults.append(Fault("last", "does not stand beside `from` or `to`"))
    elif "last" in given:
        return _last(given, faults), None, None
    start, end = _moment(given, "from", faults), _moment(given, "to", faults)
    if start is not None and end is not None and not start < end:
        faults.append(Fault("from", "must lie before `to`"))
    return None, start, end


def _last(given: dict[str, str], faults: list[Fault]) -> timedelta | None:
    try:
        return parse({"metric": "any", "range": given}).last
    except InvalidQuestion as error:
        faults.extend(replace(fault, place="last") for fault in error.faults)
        return None


def _moment(given: dict[str, str], key: str, faults: list[Fault]) -> datetime | None:
    if key not in given:
        return None
    try:
        moment = msgspec.convert(given[key], datetime)
    except msgspec.ValidationError:
        moment = None
    if moment is None or moment.tzinfo is None:
        faults.append(Fault(key, "must be RFC 3339 text with an offset", "such as 2026-01-31T00:00:00Z"))
        return None
    if not EARLIEST <= moment <= LATEST:
        faults.append(Fault(key, f"lies outside {EARLIEST:%Y} to {LATEST:%Y}"))
    return moment


def _filters(texts: Sequence[str], faults: list[Fault]) -> dict[str, tuple[str, ...]]:
    """
    Read `dimension=value`; several of one dimension are the values of one filter.
    """
    values: dict[str, list[str]] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if name and sign:
            values.setdefault(name, []).append(value)
        else:
            faults.append(Fault("filter", "must be a dimension, an equals sign and a value", "filter=severity%3Dhigh"))
    if sum(map(len, values.values())) > MAX_FILTER_VALUES:
        faults.append(Fault("filter", f"has more than {MAX_FILTER_VALUES} values"))
    return {name: tuple(found) for name, found in values.items()}
