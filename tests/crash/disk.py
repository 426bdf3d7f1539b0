"""
What a disk holds after a power cut: rebuilt from the record of what a process did to its files.

`recorder.c` records. Here the record is played up to any of its bytes, and of the files as they were then, only what
was made durable is written out.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from random import Random

_HEAD = struct.Struct("<8sQQQQ")
_PAGE = 4096


class Cut(StrEnum):
    """
    What survives beside what was fsynced.
    """

    STRICT = "strict"
    """Nothing: a name is there only if its folder was fsynced after it was made."""
    ORDERED = "ordered"
    """Every name made before the last fsync, as in a journaling file system; contents not fsynced are gone."""
    TORN = "torn"
    """As ordered, and of the rest what chance wants: single pages of files, the newest names of single folders."""


def compiler() -> str | None:
    """
    Return the system's C compiler, None where there is none.
    """
    return shutil.which("cc") if os.uname().sysname == "Linux" else None


def build(name: str, folder: Path) -> Path:
    """
    Compile the `recorder` or the `faults` that stand beside this file.
    """
    library, source = folder / f"{name}.so", Path(__file__).with_name(f"{name}.c")
    command = [compiler() or "cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl", "-lpthread"]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - the system's compiler on a file of ours
    return library


@dataclass(frozen=True, slots=True)
class Record:
    """
    One thing done; `end` is where its record ends.
    """

    kind: str
    a: int
    b: int
    path: str
    data: bytes
    end: int


def packed(kind: str, a: int, b: int, path: str) -> bytes:
    """
    Return a record without data as the recorder writes it.
    """
    return _HEAD.pack(kind.encode(), a, b, len(path.encode()), 0) + path.encode()


def records(log: Path) -> Iterator[Record]:
    """
    Yield what was recorded, in its order.
    """
    with log.open("rb") as file:
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            kind, a, b, path, size = _HEAD.unpack(head)
            texts = file.read(path + size)
            if len(texts) < path + size:
                return
            yield Record(kind[:1].decode(), a, b, texts[:path].decode(), texts[path:], file.tell())


@dataclass(eq=False, slots=True)
class _File:
    """
    A file: what is durable of it, and the writes since.
    """

    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def settle(self, count: int) -> None:
        for at, data in self.pending[:count]:
            _apply(self.durable, at, data)
        del self.pending[:count]


@dataclass(eq=False, slots=True)
class _Folder:
    """
    A folder: its names now, those it was fsynced with, and those that were ordered before the last fsync of any file.

    Of syncs that overlap the one that began last counts, also where it ended first: `durable_by`, `ordered_by`.
    """

    names: dict[str, _Node] = field(default_factory=dict)
    durable: dict[str, _Node] = field(default_factory=dict)
    ordered: dict[str, _Node] = field(default_factory=dict)
    durable_by: int = 0
    ordered_by: int = 0


@dataclass(eq=False, slots=True)
class _Sync:
    """
    An fsync that has begun: of what, how many of its writes or which names it makes durable, and all that it orders.
    """

    order: int
    node: _Node
    writes: int
    names: dict[str, _Node]
    ordered: dict[_Folder, dict[str, _Node]]


@dataclass(eq=False, slots=True)
class _Link:
    """
    A symbolic link.
    """

    target: str


_Node = _File | _Folder | _Link


def _apply(content: bytearray, at: int, data: bytes | None) -> None:
    """
    Write `data` at an offset; None cuts or stretches the content to that size.
    """
    if data is None:
        del content[at:]
    if len(content) < at:
        content.extend(bytes(at - len(content)))
    if data is not None:
        content[at : at + len(data)] = data


class Disk:
    """
    The files below `root` as a record leaves them.
    """

    def __init__(self, root: Path) -> None:
        """
        `root` is there and empty when the record begins.
        """
        self._root = str(root)
        self._top = _Folder()
        self._open: dict[int, _Node] = {}
        self._syncs: dict[int, _Sync] = {}
        self._begun = 0
        self._dirty: set[_Folder] = set()
        self.unfaithful: list[str] = []

    def play(self, log: Path, until: int) -> None:
        """
        Do again what was recorded up to byte `until`.
        """
        for record in records(log):
            if record.end > until:
                return
            self._do(record)

    def _do(self, record: Record) -> None:  # noqa: C901, PLR0912 - one case a kind, each of a line or two
        match record.kind:
            case "P":
                self._open.clear()
                self._syncs.clear()
            case "O":
                self._opened(record)
            case "X":
                self._open.pop(record.a, None)
            case "W" | "T":
                node = self._open.get(record.a)
                if isinstance(node, _File):
                    node.pending.append((record.b, record.data if record.kind == "W" else None))
            case "F":
                self._begin(record)
            case "f":
                self._end(record)
            case "M":
                self._put(record.path, _Folder())
            case "S":
                self._put(record.path, _Link(record.data.decode()))
            case "L":
                self._put(record.data.decode(), self._at(record.path))
            case "U":
                self._take(record.path)
            case "R":
                self._put(record.data.decode(), self._take(record.path))
            case "E":
                one, other = self._at(record.path), self._at(record.data.decode())
                self._put(record.path, other)
                self._put(record.data.decode(), one)
            case _:
                self.unfaithful.append(record.path)

    def _opened(self, record: Record) -> None:
        if record.b:
            self._put(record.path, _File())
        self._open[record.a] = self._at(record.path)

    def _begin(self, record: Record) -> None:
        node = self._open[record.a]
        self._begun += 1
        self._syncs[record.b] = _Sync(
            order=self._begun,
            node=node,
            writes=len(node.pending) if isinstance(node, _File) else 0,
            names=dict(node.names) if isinstance(node, _Folder) else {},
            ordered={folder: dict(folder.names) for folder in self._dirty},
        )

    def _end(self, record: Record) -> None:
        sync = self._syncs.pop(record.b)
        node = sync.node
        if isinstance(node, _File):
            node.settle(sync.writes)
            for other in self._syncs.values():
                if other.node is node:
                    other.writes = max(0, other.writes - sync.writes)
        elif isinstance(node, _Folder) and sync.order > node.durable_by:
            node.durable, node.durable_by = sync.names, sync.order
        for folder, names in sync.ordered.items():
            if sync.order > folder.ordered_by:
                folder.ordered, folder.ordered_by = names, sync.order
            if folder.names == folder.ordered:
                self._dirty.discard(folder)

    def _walk(self, path: str) -> tuple[_Folder, str]:
        assert path.startswith(self._root)
        *parents, name = path[len(self._root) :].strip("/").split("/")
        folder = self._top
        for parent in parents:
            below = folder.names[parent]
            assert isinstance(below, _Folder)
            folder = below
        return folder, name

    def _at(self, path: str) -> _Node:
        folder, name = self._walk(path)
        return folder.names[name] if name else folder

    def _put(self, path: str, node: _Node) -> None:
        folder, name = self._walk(path)
        folder.names[name] = node
        self._dirty.add(folder)

    def _take(self, path: str) -> _Node:
        folder, name = self._walk(path)
        self._dirty.add(folder)
        return folder.names.pop(name)

    def difference(self, actual: Path) -> list[str]:
        """
        Return where the files as the record has them differ from the files as they are: nowhere, if it is faithful.
        """
        found: dict[str, bytes | None] = {}
        self._collect(self._top, "", found)
        there = {
            str(path.relative_to(actual)): path.read_bytes() if path.is_file() and not path.is_symlink() else None
            for path in actual.rglob("*")
        }
        names = (set(found) | set(there)) - {name for name in found if name.endswith("-shm")}
        return sorted(name for name in names if found.get(name, b"-") != there.get(name, b"-"))

    def _collect(self, folder: _Folder, prefix: str, found: dict[str, bytes | None]) -> None:
        for name, node in folder.names.items():
            path = f"{prefix}{name}"
            found[path] = None
            if isinstance(node, _File):
                content = bytearray(node.durable)
                for at, data in node.pending:
                    _apply(content, at, data)
                found[path] = bytes(content)
            elif isinstance(node, _Folder):
                self._collect(node, f"{path}/", found)

    def write_out(self, target: Path, cut: Cut, random: Random) -> None:
        """
        Write what a power cut now would leave.
        """
        self._write(self._top, target, cut, random)

    def _write(self, folder: _Folder, target: Path, cut: Cut, random: Random) -> None:
        target.mkdir(exist_ok=True)
        names = folder.durable if cut is Cut.STRICT else folder.ordered
        if cut is Cut.TORN and random.random() < 0.5:
            names = folder.names
        for name, node in names.items():
            place = target / name
            if isinstance(node, _Folder):
                self._write(node, place, cut, random)
            elif isinstance(node, _Link):
                place.symlink_to(node.target)
            else:
                place.write_bytes(_left(node, random if cut is Cut.TORN else None))


def _left(file: _File, random: Random | None) -> bytes:
    """
    Return what is left of a file: what is durable, and by chance single pages of what is not.
    """
    content = bytearray(file.durable)
    if random is None:
        return bytes(content)
    for at, data in file.pending:
        if data is None:
            if random.random() < 0.5:
                _apply(content, at, None)
            continue
        for start in range(0, len(data), _PAGE):
            if random.random() < 0.5:
                _apply(content, at + start, data[start : start + _PAGE])
    return bytes(content)
