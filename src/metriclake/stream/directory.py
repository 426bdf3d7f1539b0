"""
The external system that knows the tenants: what the enrich step asks for a tenant's attributes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import yaml

from metriclake._errors import MetriclakeError
from metriclake.event import is_field_name, is_tenant_id

Attributes = Mapping[str, str]
"""A tenant's attributes by name, such as `name` and `environment`."""

MAX_VALUE_BYTES = 2048


class Directory(Protocol):
    """
    A source of tenants' attributes.
    """

    def resolve(self, tenants: Iterable[str]) -> dict[str, Attributes | None]:
        """
        Return the attributes of each tenant asked for, None for one that is not known.
        """


class NoDirectory:
    """
    No external system: every tenant is known, with no attributes.
    """

    def resolve(self, tenants: Iterable[str]) -> dict[str, Attributes | None]:
        """
        Return no attributes for each.
        """
        return {tenant: {} for tenant in tenants}


class FileDirectory:
    """
    A YAML or JSON file that maps each tenant id to its attributes; read again when it changes.

    A file that goes away or breaks while running leaves the last good reading in force.
    """

    def __init__(self, path: Path) -> None:
        """
        Read the file at `path`; raises MetriclakeError if it cannot be used.
        """
        self._path = path
        self._lock = threading.Lock()
        self._stamp = self._stat()
        self._tenants = read_tenants(path)

    def resolve(self, tenants: Iterable[str]) -> dict[str, Attributes | None]:
        """
        Return what the file says of each tenant.
        """
        with self._lock:
            stamp = self._stat()
            if stamp is not None and stamp != self._stamp:
                self._stamp = stamp
                self._reread()
            return {tenant: self._tenants.get(tenant) for tenant in tenants}

    def _reread(self) -> None:
        try:
            self._tenants = read_tenants(self._path)
        except MetriclakeError:
            return

    def _stat(self) -> tuple[int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return (stat.st_mtime_ns, stat.st_size)


class CurrentDirectory:
    """
    The tenants' directory of the pipeline file in force.
    """

    def __init__(self, current: Callable[[], Directory]) -> None:
        """
        Ask the directory that `current` returns.
        """
        self._current = current

    def resolve(self, tenants: Iterable[str]) -> dict[str, Attributes | None]:
        """
        Return the attributes of each tenant asked for, None for one that is not known.
        """
        return self._current().resolve(tenants)


def read_tenants(path: Path) -> dict[str, Attributes]:
    """
    Read a tenants file; raises MetriclakeError that names what is wrong and where.
    """
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise MetriclakeError(f"the tenants file {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise MetriclakeError(f"the tenants file {path} is not YAML or JSON: {_place(error)}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise MetriclakeError(f"the tenants file {path} must map each tenant_id to its attributes")
    return {_tenant_id(path, key): _attributes(path, key, value) for key, value in document.items()}


def _tenant_id(path: Path, key: Any) -> str:
    if not is_tenant_id(str(key)) or isinstance(key, bool):
        raise MetriclakeError(
            f"the tenants file {path}: `{key}` is not a tenant id; quote it if YAML reads another type"
        )
    return str(key)


def _attributes(path: Path, tenant: Any, value: Any) -> Attributes:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise MetriclakeError(f"the tenants file {path}: the attributes of `{tenant}` must be a mapping")
    attributes: dict[str, str] = {}
    for name, item in value.items():
        if not is_field_name(f"tenant_{name}") or name == "id" or isinstance(item, dict | list):
            raise MetriclakeError(f"the tenants file {path}: `{tenant}` has an unusable attribute `{name}`")
        text = str(item).lower() if isinstance(item, bool) else str(item)
        if item is not None and len(text.encode()) <= MAX_VALUE_BYTES:
            attributes[name] = text
    return attributes


def _place(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return f"line {mark.line + 1}"
    return "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
