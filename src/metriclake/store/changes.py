"""
Which metrics of a tenant have got rows lately: for clients that were away.
"""

from __future__ import annotations

from metriclake.store.bounds import Bounds
from metriclake.store.columns import Statement
from metriclake.store.engine import DATABASE
from metriclake.store.reader import TenantReader

_BOUNDS = Bounds(seconds=2.0)
"""Who was away for so long that it takes longer may as well ask for everything."""


class ChangesReader(TenantReader):
    """
    A tenant's reader that tells what is new; behind the same two fences.
    """

    def since(self, number: int) -> list[str]:
        """
        Return the metrics that have rows of objects after `number`. Raises StoreError and QuestionTooLarge.
        """
        statement = Statement()
        tenant, after = statement.bind(self._tenant), statement.bind(number, "UInt64")
        sql = f"SELECT DISTINCT metric FROM {DATABASE}.metrics WHERE tenant = {tenant} AND object > {after}"
        return [name for (name,) in self._read(sql, statement, _BOUNDS)]
