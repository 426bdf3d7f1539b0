"""
Every error that metriclake raises, on one screen.

MetriclakeError
├── InvalidPipeline         the pipeline file has faults; carries all of them
├── InvalidTemplate         a template to import cannot be read; carries all its faults
├── InvalidPattern          an event pattern does not compile
├── InvalidEvent            an event's text is no JSON object
├── EventTooComplex         an event goes beyond what matching it may cost
├── InvalidTransform        a rule's input does not compile; carries all its faults
├── TransformFailed         an event cannot be made into what a rule's input says
├── InvalidQuestion         a question cannot be asked; carries all its faults
├── QuestionTooLarge        a question needs more time, memory or rows than it may use
├── InvalidToken            a key or token is missing, forged, expired or not for this
├── NotAllowed              a valid token does not allow this
├── InvalidBody             a request's body cannot be read at all
├── OverLimit               a key or a tenant brings more than its limit lets through: try again later
├── NoRoom                  as many of this are under way as may be: try again later
├── DataDirectoryInUse      another server holds the data directory
├── NewerFormat             what lies on disk was written by a newer version
├── StageFailed             a stage of this server has stopped; says why and what to do
├── JournalError
│   ├── JournalFull         above its quota: try again later
│   ├── JournalUnavailable  cannot write: nothing was accepted
│   └── StaleSeal           another worker has sealed, announced or loaded first
├── LakeError               an object could not be written, read or trusted
└── StoreError              the engine refused; never shown to a tenant as it is

Messages say what happened, to which event or tenant, and what to do next; never a payload or a secret.
"""

from __future__ import annotations

from dataclasses import dataclass


class MetriclakeError(Exception):
    """
    Base of all errors of this package.
    """


@dataclass(frozen=True, slots=True)
class Fault:
    """
    One thing wrong with an input of several parts: where it stands, what it is, what to do.

    `place` is `file:line:column` for a file and a dotted path for a question.
    """

    place: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        """
        Return the fault as one line of text.
        """
        return f"{self.place}: {self.what}" + (f" ({self.hint})" if self.hint else "")


class _FaultyError(MetriclakeError):
    """
    An input with one or more faults, all found at once.
    """

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class InvalidPipeline(_FaultyError):  # noqa: N818 - a contract name, as are the ones below
    """
    The pipeline file has faults; `faults` holds every one with its place.
    """


class InvalidTemplate(_FaultyError):  # noqa: N818
    """
    A template to import cannot be read, or was given parameters that it does not have; `faults` names each place.
    """


class InvalidPattern(MetriclakeError):  # noqa: N818
    """
    An event pattern does not compile; the first line is EventBridge's own reason, the next ones help.

    `hint` tells what to write instead; `line` and `column`, from 1, where in the text, None for a decoded pattern.
    """

    def __init__(self, reason: str, hint: str = "", place: tuple[int, int] | None = None) -> None:
        at = "" if place is None else f"at line {place[0]}, column {place[1]}"
        super().__init__("\n".join(part for part in (reason, hint, at) if part))
        self.reason = reason
        self.hint = hint
        self.line = None if place is None else place[0]
        self.column = None if place is None else place[1]


class InvalidEvent(MetriclakeError):  # noqa: N818
    """
    The text of an event is no JSON object.
    """


class EventTooComplex(MetriclakeError):  # noqa: N818
    """
    An event's arrays or texts go beyond what matching it may cost; the message names the limit.
    """


class InvalidTransform(MetriclakeError):  # noqa: N818
    """
    A rule's input does not compile; `faults` holds every one, with its place below the rule as a dotted path.

    Where EventBridge refuses the input too, a fault's first line is its own words.
    """

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        said = (f"{fault.what}\nat {fault.place}" + (f": {fault.hint}" if fault.hint else "") for fault in faults)
        super().__init__("\n".join(said))
        self.faults = faults


class TransformFailed(MetriclakeError):  # noqa: N818
    """
    An event cannot be made into what a rule's input says; the message says why, without a value of the event.
    """


class InvalidQuestion(_FaultyError):  # noqa: N818
    """
    A question cannot be asked; `faults` names each part that is wrong.
    """


class QuestionTooLarge(_FaultyError):  # noqa: N818
    """
    A question needs more of the engine than it may use; `faults` says which limit, and what to ask instead.
    """


class InvalidToken(MetriclakeError):  # noqa: N818
    """
    A key or token is missing, forged, expired or not for what it was used for.
    """


class NotAllowed(MetriclakeError):  # noqa: N818
    """
    A valid token does not allow what it was used for.
    """


class InvalidBody(MetriclakeError):  # noqa: N818
    """
    A request's body cannot be read: broken compression, too large, not JSON.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class OverLimit(MetriclakeError):  # noqa: N818
    """
    A key or a tenant brings more than its limit lets through; nothing of it was done.

    `retry_after` are the seconds to wait.
    """

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NoRoom(MetriclakeError):  # noqa: N818
    """
    As many of what was asked for are under way as this server allows at once.
    """


class DataDirectoryInUse(MetriclakeError):  # noqa: N818
    """
    Another server holds the data directory.
    """


class NewerFormat(MetriclakeError):  # noqa: N818
    """
    What lies on disk was written by a newer version of metriclake.
    """


class StageFailed(MetriclakeError):  # noqa: N818
    """
    A stage of this server has stopped.
    """


class JournalError(MetriclakeError):
    """
    The journal did not take an entry; nothing was accepted.
    """


class JournalFull(JournalError):  # noqa: N818
    """
    The journal is above its quota; the caller may try again later, `retry_after` seconds from now.
    """

    def __init__(self, message: str, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class JournalUnavailable(JournalError):  # noqa: N818
    """
    The journal cannot write at all.
    """


class StaleSeal(JournalError):  # noqa: N818
    """
    Another worker has sealed, announced or loaded first: this one's work is void.
    """


class LakeError(MetriclakeError):
    """
    A lake object could not be written, read or trusted.
    """


class StoreError(MetriclakeError):
    """
    The store's engine refused a statement.
    """
