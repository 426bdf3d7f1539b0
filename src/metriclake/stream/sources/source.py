"""
What a source of tenants' attributes is: the protocol, its answer, and what may stand in an answer.

A source says what it could not find out and does not raise: a part of an answer is better than none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from metriclake._errors import MetriclakeError
from metriclake.event import json_kind
from metriclake.stream.directory import Attributes, is_attribute, text_of


@dataclass(frozen=True, slots=True)
class Looked:
    """
    What came of a look-up: the attributes by tenant, None for one that is not known.

    Tenants that are missing could not be looked up, for the reason that `failure` gives. `down` says that asking for
    others would fail as well. No payload and no secret stands in `failure`.
    """

    answers: Mapping[str, Attributes | None] = field(default_factory=dict, repr=False)
    failure: str = ""
    down: bool = False


class Source(Protocol):
    """
    A system outside that knows the tenants.
    """

    @property
    def kind(self) -> str:
        """
        Return its key in the pipeline file.
        """

    def look_up(self, tenants: Sequence[str], seconds: float) -> Looked:
        """
        Ask for tenants, in as few calls as it can; it has `seconds` for all of them.
        """

    def close(self) -> None:
        """
        Close its connections.
        """


def attributes_of(value: Any) -> tuple[Attributes, tuple[str, ...]]:
    """
    Return a mapping as attributes, and the names in it that cannot be any. Raises ValueError where it is no mapping.
    """
    if value is None:
        return {}, ()
    if not isinstance(value, Mapping):
        raise ValueError(json_kind(value))  # noqa: TRY004 - the value is another system's, not an argument
    usable = {str(name): item for name, item in value.items() if is_attribute(name, item)}
    texts = {name: text_of(item) for name, item in usable.items()}
    found = {name: text for name, text in texts.items() if text is not None}
    return found, tuple(str(name) for name in value if str(name) not in usable)


def strict_attributes(source: str, tenant: str, value: Any) -> Attributes:
    """
    Return a mapping as attributes; raises MetriclakeError that names what is wrong, without the value.
    """
    try:
        attributes, unusable = attributes_of(value)
    except ValueError as error:
        raise MetriclakeError(f"{source} gave {error} for `{tenant}`: it must be a mapping of attributes") from None
    if unusable:
        names = ", ".join(f"`{name[:60]}`" for name in sorted(unusable))
        raise MetriclakeError(
            f"{source} gave unusable attributes for `{tenant}`: {names}; an attribute has a plain name, which is not"
            " `id`, and a single value"
        )
    return attributes
