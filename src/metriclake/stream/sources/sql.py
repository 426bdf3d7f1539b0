"""
Tenants' attributes from a database, by a statement of the user's: its expanding parameter takes all tenants at once.

SQLAlchemy is asked for here and nowhere else. What a driver says of an error may repeat the URL or the statement, so
only its kind is passed on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from metriclake._errors import MetriclakeError
from metriclake.stream.directory import Attributes
from metriclake.stream.sources.source import Looked, strict_attributes

IDS_AT_ONCE = 500
"""Most tenants in one statement: below every database's limit of parameters."""

_PARAMETER = "tenant_ids"
_COLUMN = "tenant_id"


class SqlSource:
    """
    A statement that takes `:tenant_ids` and gives a row for each that is known: `tenant_id`, and its attributes.
    """

    kind = "sql"

    def __init__(self, url: str, statement: str) -> None:
        """
        Prepare engine and statement; raises MetriclakeError where they cannot be used. Nothing is connected to yet.
        """
        try:
            import sqlalchemy  # noqa: PLC0415 - an extra: only who asks a database needs it
        except ImportError:
            raise MetriclakeError("needs SQLAlchemy: install `metriclake[sql]` and your database's driver") from None
        if f":{_PARAMETER}" not in statement:
            raise MetriclakeError(f"the statement must hold `:{_PARAMETER}`, such as `… WHERE id IN :{_PARAMETER}`")
        try:
            self._engine = sqlalchemy.create_engine(url, pool_pre_ping=True, pool_size=2, hide_parameters=True)
            self._statement = sqlalchemy.text(statement).bindparams(sqlalchemy.bindparam(_PARAMETER, expanding=True))
        except ImportError as error:
            raise MetriclakeError(f"the URL's driver is not installed: install `{error.name}`") from None
        except (sqlalchemy.exc.SQLAlchemyError, ValueError):
            raise MetriclakeError("the URL is not one of SQLAlchemy's, such as postgresql+psycopg://host/db") from None
        self._errors = (sqlalchemy.exc.SQLAlchemyError, OSError)

    def look_up(self, tenants: Sequence[str], seconds: float) -> Looked:  # noqa: ARG002 - the caller keeps the time
        """
        Ask for tenants; one that has no row is not known.
        """
        answers: dict[str, Attributes | None] = {}
        try:
            with self._engine.connect() as connection:
                for start in range(0, len(tenants), IDS_AT_ONCE):
                    some = list(tenants[start : start + IDS_AT_ONCE])
                    rows = connection.execute(self._statement, {_PARAMETER: some}).mappings()
                    found = _by_tenant(rows)
                    answers.update({tenant: found.get(tenant) for tenant in some})
        except MetriclakeError as error:
            return Looked(answers, str(error), down=True)
        except self._errors as error:
            return Looked(answers, f"the tenants' database failed ({_kind(error)})", down=True)
        return Looked(answers)

    def close(self) -> None:
        """
        Close the connections.
        """
        self._engine.dispose()


def _by_tenant(rows: Iterable[Mapping[Any, Any]]) -> dict[str, Attributes]:
    found: dict[str, Attributes] = {}
    for row in rows:
        values = {str(name): value for name, value in row.items()}
        if _COLUMN not in values:
            raise MetriclakeError(f"the tenants' statement gives no column `{_COLUMN}`: name one so")
        tenant = str(values.pop(_COLUMN))
        if tenant in found:
            raise MetriclakeError(f"the tenants' statement gives more than one row for `{tenant}`")
        found[tenant] = strict_attributes("the tenants' statement", tenant, values)
    return found


def _kind(error: BaseException) -> str:
    """
    Return the kind of a database's error, the driver's own where there is one.
    """
    original = getattr(error, "orig", None)
    return type(error if original is None else original).__name__
