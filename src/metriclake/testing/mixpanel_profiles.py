"""
Apply Mixpanel's updates of profiles, of users and of groups. Pure: a profile goes in, and a new one comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Profile = dict[str, Any]

OPERATIONS = ("$set", "$set_once", "$add", "$append", "$union", "$remove", "$unset", "$delete")


def updated(profile: Profile | None, update: Mapping[str, Any]) -> Profile | None:
    """
    Return what an update makes of a profile, which need not be there yet; None for one that it deletes.
    """
    if "$delete" in update:
        return None
    result = dict(profile or {})
    for name, apply in _APPLY.items():
        if name in update:
            apply(result, update[name])
    return result


def is_update(update: Any, keys: tuple[str, ...]) -> bool:
    """
    Tell whether this is an update with all its keys and an operation.
    """
    return (
        isinstance(update, dict)
        and all(isinstance(update.get(key), str) and update[key] for key in keys)
        and any(isinstance(update[name], _SHAPES[name]) for name in OPERATIONS if name in update)
    )


def _set_once(profile: Profile, values: Profile) -> None:
    for name, value in values.items():
        profile.setdefault(name, value)


def _add(profile: Profile, values: Profile) -> None:
    for name, value in values.items():
        if isinstance(value, int | float):
            before = profile.get(name)
            profile[name] = value + (before if isinstance(before, int | float) else 0)


def _append(profile: Profile, values: Profile) -> None:
    for name, value in values.items():
        profile[name] = [*_members(profile, name), value]


def _union(profile: Profile, values: Profile) -> None:
    for name, members in values.items():
        if isinstance(members, list):
            before = _members(profile, name)
            profile[name] = [*before, *(member for member in members if member not in before)]


def _remove(profile: Profile, values: Profile) -> None:
    for name, value in values.items():
        profile[name] = [member for member in _members(profile, name) if member != value]


def _members(profile: Profile, name: str) -> list[Any]:
    value = profile.get(name)
    return value if isinstance(value, list) else []


def _unset(profile: Profile, names: list[str]) -> None:
    for name in names:
        profile.pop(str(name), None)


_APPLY: dict[str, Callable[[Profile, Any], None]] = {
    "$set": dict.update,
    "$set_once": _set_once,
    "$add": _add,
    "$append": _append,
    "$union": _union,
    "$remove": _remove,
    "$unset": _unset,
}
_SHAPES: dict[str, Any] = {**dict.fromkeys(OPERATIONS, dict), "$unset": list, "$delete": object}
