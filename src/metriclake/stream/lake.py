"""
Put objects into the lake once, durably, and read them back whole or not at all.

An object that is already there wins, if it is whole. On a local folder, object and directories are fsynced before
`put` returns; what a power cut has left torn is replaced, since nothing can have been announced of it. zstd, gzip and
ZIP tell a torn object by themselves. Plain lines and Snappy do not: there another content than the one to put wins only
if the caller vouches for it.
"""

from __future__ import annotations

import gzip
import itertools
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import obstore
import zstandard
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore

from metriclake._errors import LakeError
from metriclake.stream.framing import Torn, snappy, unsnappy, unzipped, zipped

SUFFIXES = {"zstd": ".zst", "gzip": ".gz", "none": "", "snappy": ".snappy", "zip": ".zip"}
"""What each compression adds to an object's name."""

_TELLING = (".zst", ".gz", ".zip", ".json")
_ZSTD_LEVEL = 1
_MOST_DURABLE = 10_000
_GZIP_LEVEL = 6


class Lake:
    """
    A lake in a local folder. Paths are relative, with `/`; contents are lines, compressed by the path's suffix.
    """

    def __init__(self, root: Path) -> None:
        """
        Open or create the lake below `root`.
        """
        self.root = root
        self._hint = f"see that {root} is there, may be written and has room; what is accepted waits in the journal"
        self._durable: dict[Path, int] = {}
        try:
            missing = [folder for folder in (root, *root.parents) if not folder.exists()]
            root.mkdir(parents=True, exist_ok=True)
            for folder in missing:
                _fsync(folder.parent, os.O_RDONLY | os.O_DIRECTORY)
            self._store = LocalStore(prefix=root, mkdir=True)
        except (OSError, BaseError) as error:
            raise LakeError(f"the lake {root} cannot be opened ({error}): see to the folder and its rights") from error

    def put(self, path: str, content: bytes, vouched: Callable[[bytes], bool] = lambda _found: False) -> bytes:
        """
        Make `content` the object at `path` and return it; return the object's content if a whole one is there already.

        `vouched` is asked about what is found in a format that does not tell a torn object from a whole one.
        """
        packed = pack(path, content)
        try:
            obstore.put(self._store, path, packed, mode="create")
        except AlreadyExistsError:
            found = self._whole(path)
            if found is not None and (path.endswith(_TELLING) or found == content or vouched(found)):
                self._sync(path)
                return found
            self._replace(path, packed)
        except BaseError as error:
            raise LakeError(f"the lake object {path} cannot be written ({_first_line(error)}): {self._hint}") from error
        self._sync(path)
        return content

    def get(self, path: str) -> bytes:
        """
        Return the content of the object at `path`.
        """
        packed = self.packed(path)
        if packed is None:
            raise LakeError(f"the lake object {path} is not there: was it moved or deleted?")
        return unpack(path, packed)

    def packed(self, path: str) -> bytes | None:
        """
        Return the object at `path` as it lies there, None where it is not.
        """
        try:
            return obstore.get(self._store, path).bytes().to_bytes()
        except FileNotFoundError:
            return None
        except BaseError as error:
            raise LakeError(f"the lake object {path} cannot be read ({_first_line(error)})") from error

    def has(self, path: str) -> bool:
        """
        Tell whether there is an object at `path`.
        """
        try:
            obstore.head(self._store, path)
        except FileNotFoundError:
            return False
        except BaseError as error:
            raise LakeError(f"the lake object {path} cannot be read ({_first_line(error)})") from error
        return True

    def listed(self, folder: str) -> list[str]:
        """
        Return what lies in a folder (`""`, or one that ends with a slash) by name; folders in it end with a slash.
        """
        try:
            found = obstore.list_with_delimiter(self._store, folder)
        except BaseError as error:
            raise LakeError(f"the lake folder {folder} cannot be listed ({_first_line(error)})") from error
        return sorted([*(f"{name}/" for name in found["common_prefixes"]), *(one["path"] for one in found["objects"])])

    def walk(self, folder: str, after: str = "") -> Iterator[str]:
        """
        Yield the objects below a folder by name, from the first after `after`; one folder at a time is held.
        """
        for name in self.listed(folder):
            if name.endswith("/") and (name > after or after.startswith(name)):
                yield from self.walk(name, after)
            elif not name.endswith("/") and name > after:
                yield name

    def _whole(self, path: str) -> bytes | None:
        try:
            return self.get(path)
        except LakeError:
            return None

    def _replace(self, path: str, packed: bytes) -> None:
        try:
            obstore.put(self._store, path, packed, mode="overwrite")
        except BaseError as error:
            why = _first_line(error)
            raise LakeError(f"the torn lake object {path} cannot be replaced ({why}): {self._hint}") from error

    def _sync(self, path: str) -> None:
        """
        Fsync the object, its folder, and the folders above as far as they are not known to be durable.

        A folder is known by its inode: one that was taken away and made again is another.
        """
        place = self.root / path
        try:
            _fsync(place, os.O_RDONLY)
            for parent in place.parents:
                _fsync(parent, os.O_RDONLY | os.O_DIRECTORY)
                if parent == self.root or self._durable.get(parent) == parent.stat().st_ino:
                    break
            self._durable.update((parent, parent.stat().st_ino) for parent in _below(place, self.root))
            if len(self._durable) > _MOST_DURABLE:
                self._durable.clear()
        except OSError as error:
            raise LakeError(
                f"the lake object {path} cannot be made durable ({error.strerror}): {self._hint}"
            ) from error


def _below(place: Path, root: Path) -> Iterator[Path]:
    """
    Yield the folders between a file and a root, neither of them.
    """
    return itertools.takewhile(lambda folder: folder != root, place.parents)


def pack(path: str, content: bytes) -> bytes:
    """
    Compress content as the suffix of its path says.
    """
    if path.endswith(".zst"):
        return zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True).compress(content)
    if path.endswith(".gz"):
        return gzip.compress(content, _GZIP_LEVEL, mtime=0)
    if path.endswith(".snappy"):
        return snappy(content)
    if path.endswith(".zip"):
        return zipped(path.rpartition("/")[2].removesuffix(".zip"), content)
    return content


def unpack(path: str, packed: bytes) -> bytes:
    """
    Undo `pack`. Raises LakeError where the object is torn, as far as its format tells.
    """
    if path.endswith(".gz") and not packed:
        raise LakeError(f"the lake object {path} is torn: it is empty")
    if path.endswith((".json", ".ndjson")) and not packed.endswith(b"\n"):
        raise LakeError(f"the lake object {path} is torn: its last line has no end")
    try:
        if path.endswith(".zst"):
            return zstandard.ZstdDecompressor().decompress(packed)
        if path.endswith(".gz"):
            return gzip.decompress(packed)
        if path.endswith(".snappy"):
            return unsnappy(packed)
        if path.endswith(".zip"):
            return unzipped(packed)
    except (Torn, zstandard.ZstdError, OSError, EOFError, zlib.error) as error:
        raise LakeError(f"the lake object {path} is torn: it does not decompress") from error
    return packed


def _fsync(place: Path, flags: int) -> None:
    descriptor = os.open(place, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
