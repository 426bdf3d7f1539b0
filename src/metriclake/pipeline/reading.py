"""
Read a pipeline file: its text, its shape, its meaning, with every fault at once and its place in the file.

Event patterns and paths are compiled by the `rules` stage, which reports its own faults with the places that
`LoadedPipeline.place` knows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from metriclake._errors import Fault, InvalidPipeline
from metriclake.pipeline.document import Document, Place
from metriclake.pipeline.meaning import check_meaning
from metriclake.pipeline.model import Pipeline
from metriclake.pipeline.shape import check_shape


@dataclass(frozen=True, slots=True)
class LoadedPipeline:
    """
    A pipeline without faults in its shape, with its version and the place of each of its values.

    `version` is a fingerprint of what the file says, the same on every machine: 52 bits of its SHA-256.
    """

    pipeline: Pipeline
    version: int
    path: Path
    marks: Mapping[Place, str] = field(repr=False, default_factory=dict)

    def place(self, *keys: str | int) -> str:
        """
        Return `file:line:column` of the value at `keys`, or of the nearest part of it that the file has.
        """
        while keys and keys not in self.marks:
            keys = keys[:-1]
        return self.marks.get(keys, str(self.path))

    def resolve(self, path: str) -> Path:
        """
        Return `path` as it was meant: relative to the pipeline file.
        """
        return (self.path.parent / path).resolve()


def load(path: Path, environ: Mapping[str, str]) -> LoadedPipeline:
    """
    Read the pipeline file at `path`; `environ` fills `${NAME}`.

    Raises InvalidPipeline with every fault of its text and its model.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise InvalidPipeline(
            (Fault(str(path), f"cannot be read: {what}", "`metriclake init` writes a first one"),)
        ) from error
    return parse(text, path, environ)


def parse(text: str, path: Path, environ: Mapping[str, str]) -> LoadedPipeline:
    """
    Read a pipeline file's text; `path` is where it stands, for messages and relative paths.
    """
    document = Document(path, environ)
    value = document.read(text)
    checked = None if document.faults else check_shape(value, document)
    if checked is not None:
        check_meaning(checked, document)
    if document.faults or checked is None:
        raise InvalidPipeline(tuple(document.faults))
    fingerprint = hashlib.sha256(msgspec.json.encode(value, order="sorted")).digest()
    return LoadedPipeline(checked, int.from_bytes(fingerprint[:8], "big") >> 12, path, document.marks)
