"""
Tenants' attributes from a Python callable of the user's: it takes a list of tenant ids and returns a mapping.

What it raises is a failure of the source; only the error's kind is passed on, since its words may hold anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metriclake._errors import MetriclakeError
from metriclake.callables import named_callable
from metriclake.event import json_kind
from metriclake.stream.directory import Attributes
from metriclake.stream.sources.source import Looked, strict_attributes


class PythonSource:
    """
    A callable, named `module:callable`.
    """

    kind = "python"

    def __init__(self, name: str, folder: Path) -> None:
        """
        Import it, also from `folder`; raises MetriclakeError where it cannot be used.
        """
        self._name = name
        self._callable = named_callable(name, folder)

    def look_up(self, tenants: Sequence[str], seconds: float) -> Looked:  # noqa: ARG002 - the caller keeps the time
        """
        Ask for tenants; one that is not in the mapping, or is None there, is not known.
        """
        try:
            return Looked(self._answers(tenants, self._callable(list(tenants))))
        except MetriclakeError as error:
            return Looked(failure=str(error), down=True)
        except Exception as error:  # noqa: BLE001 - user code: whatever it is, it gave no answer
            return Looked(failure=f"`{self._name}` raised {type(error).__name__}", down=True)

    def close(self) -> None:
        """
        Nothing is open.
        """

    def _answers(self, tenants: Sequence[str], found: Any) -> dict[str, Attributes | None]:
        if not isinstance(found, Mapping):
            raise MetriclakeError(f"`{self._name}` returned {json_kind(found)}: it must be a mapping by tenant id")
        return {
            tenant: None if found.get(tenant) is None else strict_attributes(f"`{self._name}`", tenant, found[tenant])
            for tenant in tenants
        }
