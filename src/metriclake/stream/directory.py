"""
The external system that knows the tenants: what the enrich step asks for a tenant's attributes.

A directory never fails for want of its source: tenants of which it can say nothing are missing in its answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml

from metriclake._errors import MetriclakeError
from metriclake.event import is_field_name, is_tenant_id

Attributes = Mapping[str, str]
"""A tenant's attributes by name, such as `name` and `environment`."""

MAX_VALUE_BYTES = 2048
_NO_SINGLE_VALUES = (dict, list, tuple, set, bytes)


@dataclass(frozen=True, slots=True)
class DirectoryState:
    """
    How a directory does: its kind, since when its source does not answer (seconds since 1970) and why.

    `stale_tenants` are those who have a value that is older than it should be, because of that; `stale_answers` is how
    often such values were given since the start.
    """

    source: str
    unavailable_since: float | None = None
    reason: str = ""
    stale_tenants: int = 0
    stale_answers: int = 0


class Directory(Protocol):
    """
    What knows tenants' attributes.
    """

    def resolve(self, tenants: Iterable[str]) -> dict[str, Attributes | None]:
        """
        Return the attributes of each tenant asked for, None for one that is not known.

        Tenants of whom nothing can be said now are missing.
        """

    def state(self) -> DirectoryState:
        """
        Return how it does.
        """

    def close(self) -> None:
        """
        Close its connections.
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

    def state(self) -> DirectoryState:
        """
        Return that there is none.
        """
        return DirectoryState("none")

    def close(self) -> None:
        """
        Nothing is open.
        """


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
        self._broken: tuple[float, str] | None = None

    def resolve(self, tenants: Iterable[str]) -> dict[str, Attributes | None]:
        """
        Return what the file says of each tenant.
        """
        with self._lock:
            stamp = self._stat()
            if stamp != self._stamp:
                self._stamp = stamp
                self._reread()
            return {tenant: self._tenants.get(tenant) for tenant in tenants}

    def state(self) -> DirectoryState:
        """
        Return since when the file cannot be read, if so: its last good reading is in force.
        """
        with self._lock:
            since, reason = self._broken or (None, "")
            return DirectoryState("file", since, reason, len(self._tenants) if self._broken else 0)

    def close(self) -> None:
        """
        Nothing is open.
        """

    def _reread(self) -> None:
        try:
            self._tenants = read_tenants(self._path)
        except MetriclakeError as error:
            self._broken = (self._broken[0] if self._broken else time.time(), str(error))
        else:
            self._broken = None

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

    def state(self) -> DirectoryState:
        """
        Return the state of the directory in force.
        """
        return self._current().state()

    def close(self) -> None:
        """
        Close the directory in force.
        """
        self._current().close()


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
        if not is_attribute(name, item):
            raise MetriclakeError(f"the tenants file {path}: `{tenant}` has an unusable attribute `{name}`")
        text = text_of(item)
        if text is not None:
            attributes[str(name)] = text
    return attributes


def is_attribute(name: Any, value: Any) -> bool:
    """
    Tell whether a name and a value may be an attribute: `id` is the tenant's own, and a value is a single one.
    """
    return name != "id" and is_field_name(f"tenant_{name}") and not isinstance(value, _NO_SINGLE_VALUES)


def text_of(value: Any) -> str | None:
    """
    Return an attribute's value as text, None where there is none, or none that can be kept.
    """
    try:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return text if value is not None and len(text.encode()) <= MAX_VALUE_BYTES else None
    except ValueError:
        return None


def _place(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return f"line {mark.line + 1}"
    return "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
