"""
What exports and live streams say about themselves in the OpenAPI document.
"""

from __future__ import annotations

from metriclake.openapi import Answer, Header, Operation, Parameter
from metriclake.query.wanted import FileFormat

_MOMENT = {"type": "string", "format": "date-time"}
_METRIC = Parameter("metric", "A metric; all that the token allows where none is named", many=True)
_PARAMETERS = (
    Parameter("format", "The file's format; without it `Accept` decides", {"enum": list(FileFormat)}),
    _METRIC,
    Parameter("last", "The time back from now, such as 30d", {"type": "string", "pattern": r"^\d{1,6}[mhdw]$"}),
    Parameter("from", "The start of the range, in it", _MOMENT),
    Parameter("to", "The end of the range, not in it", _MOMENT),
    Parameter("filter", "`dimension=value`; several values of one dimension are any of them", many=True),
    Parameter("csv", "Whether CSV is safe to open in a spreadsheet, or exact", {"enum": ["safe", "exact"]}),
)
_EXPORTED = {
    200: Answer(
        "The rows as a file, in chunks; whole only where the last chunk has come",
        tuple(form.media for form in FileFormat),
        {"type": "string"},
        {"Content-Disposition": "The file's name", "X-Rows": "How many rows there are"},
    )
}
_PROBLEMS = (400, 401, 403, 429, 503)


def described_rows() -> tuple[Operation, ...]:
    """
    Return what there is to say of each route.
    """
    return (
        Operation(
            "/v1/export",
            "get",
            "query",
            "Return the tenant's rows as a file",
            key="tenantToken",
            parameters=_PARAMETERS,
            answers=_EXPORTED,
            problems=(*_PROBLEMS, 422),
        ),
        Operation(
            "/v1/stream",
            "get",
            "query",
            "Tell as it happens which of the tenant's metrics have new data",
            key="tenantToken",
            headers=(Header("Last-Event-ID", "The last event's id, to hear what was missed", "0123abcd-17"),),
            parameters=(_METRIC,),
            answers={200: Answer("Server-sent events, until the token ends", "text/event-stream", {"type": "string"})},
            problems=_PROBLEMS,
        ),
    )
