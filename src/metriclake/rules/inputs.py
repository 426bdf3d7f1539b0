"""
Decide what a target is given of an event: all of it, a constant, one value, or what a template makes of several.

EventBridge's `Input`, `InputPath` and `InputTransformer`, as a value that renders events: no target, no clock and no
name is known here. Where EventBridge would deliver nothing and say nothing, the answer says why.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn, final

import msgspec

from metriclake._errors import Fault, InvalidTransform, TransformFailed
from metriclake.rules.jsonpath import MISSING, Find, finder, parse_path
from metriclake.rules.template import Template, Variables, place_in, unwritten

MOST_TEXT = 8192
MOST_PATH = 256
MOST_PATHS = 100

_VARIABLE = re.compile(r"[A-Za-z0-9_-]{1,256}", re.ASCII)
_ENCODER = msgspec.json.Encoder()
_UNKNOWN: Final = Variables()
_Produce = Callable[[Any, Variables], bytes]


@dataclass(frozen=True, slots=True)
class Rendered:
    """
    What a target is given of one event: `text` if it was delivered, or else the `reason` why it was not.
    """

    delivered: bool
    text: str | None = None
    reason: str | None = None

    def as_json(self) -> Any:
        """
        Return the text, decoded. Raises ValueError where it is no JSON, as of many text templates, or not delivered.
        """
        if self.text is None:
            raise ValueError(f"not delivered: {self.reason}")
        return json.loads(self.text)


@final
class Input:
    """
    A compiled input of a target.
    """

    __slots__ = ("_produce",)

    def __init__(self, produce: _Produce) -> None:
        self._produce = produce

    @classmethod
    def compile(
        cls, *, constant: str | None = None, input_path: str | None = None,
        input_paths: Mapping[str, str] | None = None, input_template: str | None = None, target: str = "1",
    ) -> Input:  # fmt: skip
        """
        Compile one of a constant (JSON text), a path, or paths by name with a template; nothing is the whole event.

        `target` is the name by which a refusal speaks of it.

        Raises:
            InvalidTransform: The input is refused; EventBridge's words stand on the first line.

        """
        kinds = [constant is not None, input_path is not None, input_paths is not None or input_template is not None]
        if sum(kinds) > 1:
            words = f"Only one of Input, InputPath, or InputTransformer must be provided for target {target}."
            _refuse("input_template" if kinds[2] else "input_path", words, "keep one of them")
        if constant is not None:
            return cls(_always(check_constant(constant, target).encode()))
        if input_path is not None:
            return cls(_value(compile_path(input_path)))
        if kinds[2]:
            return cls(compile_template(input_paths or {}, input_template, target).render)
        return cls(_value(lambda event: event))

    @classmethod
    def of_target(cls, target: Mapping[str, Any]) -> Input:
        """
        Compile the input of a target as `PutTargets` and CloudFormation write it; its other keys are not looked at.

        Raises:
            InvalidTransform: The input is refused; EventBridge's words stand on the first line.

        """
        transformer = target.get("InputTransformer")
        return cls.compile(
            constant=target.get("Input"),
            input_path=target.get("InputPath"),
            input_paths=None if transformer is None else transformer.get("InputPathsMap", {}),
            input_template=None if transformer is None else transformer.get("InputTemplate"),
            target=target.get("Id", "1"),
        )

    def render(self, event: Mapping[str, Any], variables: Variables = _UNKNOWN) -> Rendered:
        """
        Return what a decoded event becomes; `variables` are the reserved ones that the event does not hold.
        """
        try:
            return Rendered(delivered=True, text=self._produce(event, variables).decode())
        except TransformFailed as error:
            return Rendered(delivered=False, reason=str(error))
        except (ValueError, RecursionError) as error:
            return Rendered(delivered=False, reason=f"the value {unwritten(error)}")


def _always(text: bytes) -> _Produce:
    return lambda _event, _variables: text


def _value(find: Find) -> _Produce:
    return lambda event, _variables: _ENCODER.encode(value_at(find, event))


def value_at(find: Find, event: Any) -> Any:
    """
    Return the value at an input's path. Raises TransformFailed where there is none.
    """
    value = find(event)
    if value is MISSING:
        raise TransformFailed("the input's path leads nowhere in this event")
    return value


def check_constant(text: str, target: str) -> str:
    """
    Return a constant input. Raises InvalidTransform where it is no JSON, or too long.
    """
    _check_length("input", "input", text, MOST_TEXT)
    try:
        json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        _refuse("input", f"JSON syntax error in input for target {target}", f"{place_in(text, error.pos)}: {error.msg}")
    except (ValueError, RecursionError):
        _refuse("input", f"JSON syntax error in input for target {target}", "NaN and Infinity are not JSON")
    return text


def compile_path(path: str) -> Find:
    """
    Compile an input's path. Raises InvalidTransform.
    """
    _check_length("input_path", "inputPath", path, MOST_PATH)
    return finder(parse_path(path, "input_path", wildcards=True))


def compile_template(paths: Mapping[str, str], template: str | None, target: str) -> Template:
    """
    Compile an input transformer. Raises InvalidTransform with the faults of its paths, or else of its template.
    """
    faults: list[Fault] = []
    finds: dict[str, Find] = {}
    if len(paths) > MOST_PATHS:
        words = _constraint("inputTransformer.inputPathsMap", f"Map size must be less than or equal to {MOST_PATHS}")
        faults.append(Fault("input_paths", words))
    for name, path in paths.items():
        try:
            finds[name] = _named_path(name, path)
        except InvalidTransform as error:
            faults += error.faults
    try:
        _check_length("input_template", "inputTransformer.inputTemplate", template, MOST_TEXT)
    except InvalidTransform as error:
        faults += error.faults
    if faults or template is None:
        raise InvalidTransform(tuple(faults))
    return Template(template, finds, target)


def _named_path(name: str, path: str) -> Find:
    place = f"input_paths.{name}"
    if _VARIABLE.fullmatch(name) is None:
        _refuse(
            place,
            _constraint(
                "inputTransformer.inputPathsMap",
                "Map keys must satisfy constraint: [Member must have length less than or equal to 256, Member must have"
                " length greater than or equal to 1, Member must satisfy regular expression pattern:"
                r" [A-Za-z0-9\_\-]+]",
            ),
            "name it with letters, digits, _ and -",
        )
    _check_length(place, "inputTransformer.inputPathsMap", path, MOST_PATH)
    return finder(parse_path(path, place, wildcards=True))


def _check_length(place: str, member: str, text: str | None, most: int) -> None:
    if text is None:
        _refuse(place, _constraint(member, "Member must not be null"))
    if not text:
        _refuse(place, _constraint(member, "Member must have length greater than or equal to 1"))
    if len(text) > most:
        _refuse(place, _constraint(member, f"Member must have length less than or equal to {most}"))


def _constraint(member: str, words: str) -> str:
    return f"1 validation error detected: Value at 'targets.1.member.{member}' failed to satisfy constraint: {words}"


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _refuse(place: str, what: str, hint: str = "") -> NoReturn:
    raise InvalidTransform((Fault(place, what, hint),))
