"""
The SQL of selections: their keys, their rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from metriclake.store.aggregates import Aggregates
from metriclake.store.catalogue import Catalogue
from metriclake.store.columns import Columns, Statement
from metriclake.store.conditions import Conditions
from metriclake.store.engine import DATABASE
from metriclake.store.selection import OTHER, Bucket, Selection

_STARTS = {
    Bucket.MINUTE: "toStartOfMinute(time, {zone})",
    Bucket.FIVE_MINUTES: "toStartOfFiveMinutes(time, {zone})",
    Bucket.HOUR: "toStartOfHour(time, {zone})",
    Bucket.DAY: "toStartOfDay(time, {zone})",
    Bucket.WEEK: "toDateTime(toStartOfWeek(time, 1, {zone}), {zone})",
    Bucket.MONTH: "toDateTime(toStartOfMonth(time, {zone}), {zone})",
    Bucket.QUARTER: "toDateTime(toStartOfQuarter(time, {zone}), {zone})",
    Bucket.YEAR: "toDateTime(toStartOfYear(time, {zone}), {zone})",
}
_NO_KEYS = {"earlier": "0", "bucket": "0"}


class SelectionText:
    """
    One selection of one tenant as SQL.

    Its columns, each where it is asked for: `earlier`, whether a row is of the period before; `bucket`, the interval's
    start in seconds; the groups; then the value twice: `whole` where it is an integer that 64 bits hold, and `value` as
    a double.
    """

    rolled = False
    """Whether a rollup is read."""

    def __init__(
        self,
        selection: Selection,
        catalogue: Catalogue,
        tenant: str,
        statement: Statement,
        oldest: datetime | None = None,
    ) -> None:
        """
        Parameters go into `statement`. Rows of `oldest` and before it are not shown.
        """
        self._selection = selection
        self._tenant = tenant
        self._oldest = oldest
        self._statement = statement
        self._bind = statement.bind
        self._moment = statement.moment
        self._columns = Columns(catalogue, selection.metric, statement)
        self._aggregates = Aggregates(self._columns, statement)
        self._conditions = Conditions(self._columns, statement)

    @property
    def selection(self) -> Selection:
        """
        Return what is selected.
        """
        return self._selection

    def sql(self) -> str:
        """
        Return the statement of this selection alone.
        """
        keys = self._keys()
        names = ", ".join(keys)
        return f"{self._select({**keys, **self._values()}, names)}{f' ORDER BY {names}' if names else ''}"

    def part(self, number: int, groups: int) -> str:
        """
        Return the statement as one of several that are answered together, each by its number and with so many groups.
        """
        keys = self._keys()
        columns = {"question": str(number), **_NO_KEYS, **{f"g{index}": "''" for index in range(groups)}}
        return self._select({**columns, **keys, **self._values()}, ", ".join(keys))

    def origins(self, most: int, samples: int) -> str:
        """
        Return the statement of which lake objects the rows come from, the last ones first.
        """
        columns = {
            "object": "object",
            "version": "version",
            "amount": "count()",
            "first": "min(time)",
            "last": "max(time)",
            "sample": f"arraySort(groupUniqArray({samples:d})(event_id))",
        }
        select = self._select(columns, "object, version")
        return f"{select} ORDER BY object DESC, version DESC LIMIT {self._bind(most, 'UInt64')}"

    def _select(self, columns: Mapping[str, str], keys: str) -> str:
        named = ", ".join(f"{text} AS {name}" for name, text in columns.items())
        return f"SELECT {named} {self._rows(self._times())}{f' GROUP BY {keys}' if keys else ''}"

    def _keys(self) -> dict[str, str]:
        selection = self._selection
        keys = {} if selection.before is None else {"earlier": f"time < {self._moment(selection.start)}"}
        if selection.bucket is not Bucket.NONE:
            keys["bucket"] = f"toUnixTimestamp({self._bucket()})"
        return {**keys, **{f"g{index}": group for index, group in enumerate(self._groups())}}

    def _values(self) -> dict[str, str]:
        value = self._aggregate()
        whole = f"accurateCastOrNull({value}, 'Int64')" if self._selection.whole else "NULL"
        return {"whole": whole, "value": f"toFloat64({value})"}

    def _aggregate(self) -> str:
        return self._aggregates.text(self._selection.aggregate, self._selection.value)

    def _groups(self) -> list[str]:
        """
        Return the groups' names; with a limit, of those that are not among the largest the name of the rest.

        A group that has that name itself is part of the rest: no two rows are named alike.
        """
        selection = self._selection
        names = [self._columns.text(name) for name in selection.group_by]
        if selection.limit is None:
            return names
        group, rest = ", ".join(names), ", ".join(f"'{OTHER}'" for _ in names)
        within = self._within(selection.start, selection.end)
        largest = f"SELECT {group} {self._rows(within)} GROUP BY {group} HAVING ({group}) <> ({rest})"
        largest += (
            f" ORDER BY {self._aggregate()} DESC NULLS LAST, {group} LIMIT {self._bind(selection.limit, 'UInt64')}"
        )
        return [f"if(({group}) IN ({largest}), {name}, '{OTHER}')" for name in names]

    def _bucket(self) -> str:
        selection = self._selection
        if selection.edges:
            seconds = [max(0, int(edge.timestamp())) for edge in selection.edges]  # no row is from before 1970
            edges = self._bind(seconds, "Array(UInt32)")
            return f"toDateTime(roundDown(toUnixTimestamp(time), {edges}), 'UTC')"
        return _STARTS[selection.bucket].format(zone=self._bind(selection.zone))

    def _rows(self, times: str) -> str:
        """
        Return where to read and which rows, of some times.

        What the table is sorted by stands first by our word: the engine takes long to find that out for each statement.
        """
        selection = self._selection
        first = [*self._whose(), f"metric = {self._bind(selection.metric)}", times, *self._shown()]
        then = " AND ".join(self._conditions.text(condition) for condition in selection.conditions)
        return f"FROM {DATABASE}.metrics PREWHERE {' AND '.join(first)}{f' WHERE {then}' if then else ''}"

    def _shown(self) -> list[str]:
        """
        Return the condition of the rows that are still shown, where there is a period with others.
        """
        oldest = self._oldest
        if oldest is None or all(start > oldest for start, _ in self._selection.periods):
            return []
        return [f"time > {self._moment(oldest)}"]

    def _whose(self) -> list[str]:
        """
        Return the condition of the tenant.
        """
        return [f"tenant = {self._bind(self._tenant)}"]

    def _times(self) -> str:
        """
        Return the condition of the times of all periods.
        """
        selection = self._selection
        within = self._within(selection.start, selection.end)
        return within if selection.before is None else f"({within} OR {self._within(*selection.before)})"

    def _within(self, start: datetime, end: datetime) -> str:
        return f"time >= {self._moment(start)} AND time < {self._moment(end)}"


def together(texts: Sequence[SelectionText], groups: int) -> str:
    """
    Return one statement of several selections: its columns are those of each, with `question` before them.
    """
    parts = " UNION ALL ".join(text.part(number, groups) for number, text in enumerate(texts))
    keys = ", ".join(["question", *_NO_KEYS, *(f"g{index}" for index in range(groups))])
    return f"SELECT * FROM ({parts}) ORDER BY {keys}"
