"""
What a row has of a field, as SQL: its slot, or its place in a map.

Every value of a question travels as a parameter; in the text stand only names of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from metriclake.store.catalogue import ATTRIBUTE, DIMENSION, MEASURE, TEXT, Catalogue, Field, Place
from metriclake.store.selection import Measure


@dataclass(slots=True)
class Statement:
    """
    A statement under construction: its parameters by name.
    """

    parameters: dict[str, Any] = field(default_factory=dict)

    def bind(self, value: Any, kind: str = "String") -> str:
        """
        Take a value into the parameters; returns what stands for it in the text.
        """
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"{{{name}:{kind}}}"

    def moment(self, value: datetime) -> str:
        """
        Take a moment into the parameters, to the microsecond; returns what stands for it in the text.
        """
        return f"fromUnixTimestamp64Micro({self.bind(int(value.timestamp() * 1_000_000), 'Int64')}, 'UTC')"


class Columns:
    """
    The fields of one metric.
    """

    def __init__(self, catalogue: Catalogue, metric: str, statement: Statement) -> None:
        """
        Names of fields that have no slot go into `statement`.
        """
        self._catalogue = catalogue
        self._metric = metric
        self._bind = statement.bind

    def text(self, name: str) -> str:
        """
        Return the text of a dimension or attribute; empty where a row has none.
        """
        kind = ATTRIBUTE if name.startswith("tenant_") else DIMENSION
        place = self._catalogue.place(Field(self._metric, kind, name, TEXT))
        return place.column if place.key is None else f"{place.column}[{self._bind(place.key)}]"

    def number(self, measure: Measure) -> str:
        """
        Return the number of a measure: an integer where all are, else a double; null where a row has none.
        """
        columns = self.of(measure, measure.numbers)
        return columns[0] if len(columns) == 1 else f"coalesce({', '.join(f'toFloat64({one})' for one in columns)})"

    def there(self, measure: Measure) -> str:
        """
        Return whether a row has the measure, of whatever type.
        """
        return f"({' OR '.join(f'isNotNull({column})' for column in self.of(measure, measure.types))})"

    def of(self, measure: Measure, types: Sequence[str]) -> list[str]:
        """
        Return the values of a measure by types, each null where a row has none of it.
        """
        fields = (Field(self._metric, MEASURE, measure.name, kind) for kind in types)
        return [self._nullable(self._catalogue.place(found)) for found in fields]

    def _nullable(self, place: Place) -> str:
        if place.key is None:
            return place.column
        key = self._bind(place.key)
        return f"if(mapContains({place.column}, {key}), {place.column}[{key}], NULL)"
