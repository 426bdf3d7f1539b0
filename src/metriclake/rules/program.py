"""
Write out, as a Python function, how ways are tried on an event.

Walking lists of tests costs more than the tests. So the lookups of a shape and the tests of the ways stand one after
the other in a function made for them. For two ways that want a `source`, one of them a `detail.size` too, it reads

    def match(event):
        if 'detail.size' in event: return None
        v0 = event.get('source', UNSET)
        o1 = event.get('detail', EMPTY)
        if type(o1) is not dict: return arrays(event)
        v1 = o1.get('size', UNSET)
        if type(v0) in LISTS or type(v1) in LISTS: return lists((v0, v1,))
        found = []
        if 0 not in found and a0(v0): found.append(0)
        if 1 not in found and a1(v0) and a2(v1): found.append(1)
        return found if len(found) < 2 else sorted(found)

where `a0`, `a1` and `a2` are the tests of leaves. It returns the numbers of the rules that the event satisfies, and
None for an unusual event. There are others like it:

- for the part of a text that a shape's decoder takes: its values are attributes;
- `lists`, for values at the ends of paths some of which are lists: one element that a test accepts is enough;
- `arrays`, for events with arrays of objects on the paths: for each path behind such an array there is a column of
  values, one of each object, and all tests of a way behind one array have to hold in one row of its columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from msgspec import UNSET

from metriclake.rules.leaf import key_of
from metriclake.rules.rows import objects_in, satisfied_in_rows
from metriclake.rules.shape import LISTS, Tree, attribute, dotted, flat
from metriclake.rules.ways import Filed, Trial, satisfied, satisfied_somewhere

Match = Callable[[Any], Sequence[int] | None]
"""Returns the numbers of the rules that something of an event satisfies, ascending; None for an unusual event."""

_MOST_WRITTEN = 256
"""How many tests are written out; where there are more, the ways are walked."""

_FEW = 8
"""So few keys with dots are looked for one by one."""

_TEST = "{test}(v{at})"
_TEST_ANY = "(any(map({test}, v{at})) if type(v{at}) is list else {test}(v{at}))"


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What functions are written of: the ways, the keys on their paths, and how many paths there are.

    `of_text` tells that values are taken from parts of texts, not from decoded events. A text longer than `longest` at
    one of the paths `searched`, or a list, makes an event unusual; so does an array of more than `most_rows` objects.
    """

    filed: Filed
    tree: Tree
    paths: int
    of_text: bool
    searched: frozenset[int]
    longest: int
    most_rows: int


def usual(plan: Plan, lists: Match, arrays: Match) -> Match:
    """
    Return the function for events; it leaves to others those with lists or arrays of objects on the paths.
    """
    program = _Program(plan)
    program.names |= {"lists": lists, "arrays": arrays}
    program.read(plan.tree, "event", "return arrays(event)")
    program.check(range(plan.paths), f"return lists({program.values})")
    return program.finished()


def of_lists(plan: Plan) -> Match:
    """
    Return the function for the values at the paths, some of which are lists.
    """
    program = _Program(plan, with_lists=True)
    program.write(f"{program.values} = event")
    program.flatten(range(plan.paths))
    return program.finished()


def of_arrays(plan: Plan, arrays: frozenset[str]) -> Match:
    """
    Return the function for events with arrays of objects behind these paths, and behind no others.
    """
    program = _Program(plan, arrays, with_lists=True)
    program.read(plan.tree, "event", "return None")
    program.flatten(at for at in range(plan.paths) if at not in program.inside)
    return program.finished()


class _Program:
    """
    A function while it is written: its lines, and the names that they use.

    `arrays` are the paths with arrays of objects behind them, `inside` the positions of the paths that go on there,
    each with a number of its array; `with_lists` tells that other values may be lists.
    """

    def __init__(self, plan: Plan, arrays: frozenset[str] = frozenset(), *, with_lists: bool = False) -> None:
        self.inside: dict[int, int] = {}
        self.names: dict[str, Any] = {
            "UNSET": UNSET, "LISTS": LISTS, "EMPTY": {}, "key_of": key_of, "flat": flat, "objects_in": objects_in,
            "most": plan.most_rows, "inside": self.inside, "satisfied_in_rows": satisfied_in_rows,
            "satisfied": satisfied_somewhere if with_lists else satisfied,
        }  # fmt: skip
        self._plan = plan
        self._arrays = arrays
        self._with_lists = with_lists
        self._lines = ["def match(event):"]
        self._depth = 1
        self._objects = count(1)
        self._accepts = count()

    def write(self, *lines: str) -> None:
        """
        Add lines, as deep as the last ones.
        """
        self._lines.extend("    " * self._depth + line for line in lines)

    def read(self, tree: Tree, node: str, otherwise: str, above: str = "") -> None:
        """
        Add the lines that take the values behind an object, and do otherwise where one on the way is no object.
        """
        if not self._plan.of_text:
            self._look_for_dots(list(dotted(tree)), node)
        for name, inner in tree.items():
            if isinstance(inner, int):
                self.write(f"v{inner} = {self._behind(node, name, 'UNSET')}")
            elif above + name in self._arrays:
                self.write(f"objects = objects_in({self._behind(node, name, 'EMPTY')}, most)")
                self.write("if objects is None: return None")
                self._read_columns(inner, f"{above}{name}.")
            else:
                below = f"o{next(self._objects)}"
                no_object = f"type({below}) is list" if self._plan.of_text else f"type({below}) is not dict"
                self.write(f"{below} = {self._behind(node, name, 'EMPTY')}", f"if {no_object}: {otherwise}")
                self.read(inner, below, otherwise, f"{above}{name}.")

    def _behind(self, node: str, name: str, default: str) -> str:
        """
        Return how the value behind a key is had, the default where there is none.
        """
        return f"{node}.{attribute(name)}" if self._plan.of_text else f"{node}.get({name!r}, {default})"

    def _look_for_dots(self, keys: Sequence[str], node: str) -> None:
        """
        Add the line that looks for keys with dots; in the parts of texts there are none.
        """
        if len(keys) > _FEW:
            self.names[f"dotted_{node}"] = frozenset(keys)
            self.write(f"if not dotted_{node}.isdisjoint({node}): return None")
        elif keys:
            self.write(f"if {' or '.join(f'{key!r} in {node}' for key in keys)}: return None")

    def _read_columns(self, tree: Tree, above: str) -> None:
        """
        Add the lines that make columns of the values of the objects in an array.
        """
        ends = list(_ends(tree))
        if all(isinstance(inner, int) for inner in tree.values()):
            for name, at in tree.items():
                self.write(f"v{at} = [{self._behind('each', name, 'UNSET')} for each in objects]")
                self.write(f"if not LISTS.isdisjoint(map(type, v{at})): return None")
        else:
            self.write(*(f"c{at} = []" for at in ends), "for each in objects:")
            self._depth += 1
            self.read(tree, "each", "return None", above)
            self.check(ends, "return None")
            self.write(*(f"c{at}.append(v{at})" for at in ends))
            self._depth -= 1
            self.write(*(f"v{at} = c{at}" for at in ends))
        for at in ends:
            if at in self._plan.searched:
                self.write(f"if any(type(v) is str and len(v) > {self._plan.longest} for v in v{at}): return None")
        self.inside |= dict.fromkeys(ends, len(self.inside))

    def check(self, positions: Iterable[int], otherwise: str) -> None:
        """
        Add the lines that do otherwise where a value is a list, and that find texts that are too long.
        """
        ends = list(positions)
        if ends:
            self.write(f"if {' or '.join(f'type(v{at}) in LISTS' for at in ends)}: {otherwise}")
        self._hold_short(ends)

    def flatten(self, positions: Iterable[int]) -> None:
        """
        Add the lines that go on with short lists of scalars only, and that find texts that are too long.
        """
        ends = list(positions)
        for at in ends:
            self.write(f"if type(v{at}) in LISTS:", f"    v{at} = flat(v{at})", f"    if v{at} is None: return None")
        self._hold_short(ends)

    def _hold_short(self, positions: Sequence[int]) -> None:
        """
        Add the lines that find texts that are too long, and lists where there may be some.
        """
        for at in positions:
            if at in self._plan.searched:
                self.write(f"if type(v{at}) is list or (type(v{at}) is str and len(v{at}) > {self._plan.longest}):")
                self.write("    return None")

    @property
    def values(self) -> str:
        """
        All values in the order of their paths.
        """
        return _tuple(f"v{at}" for at in range(self._plan.paths))

    def finished(self) -> Match:
        """
        Return the function: what was written, and then the tests of the ways.
        """
        self.write("found = []")
        for at, table in self._plan.filed.tables:
            self.names[f"table{at}"] = table
            self._look_up_filed(at)
        rest = self._plan.filed.rest
        if sum(len(trial.leaves) for trial in rest) > _MOST_WRITTEN or any(trial.shared for trial in rest):
            self.names["rest"] = rest
            self.write(self._walk("rest"))
        else:
            for trial in rest:
                self.write(f"if {trial.rule} not in found and {self._tests(trial)}: found.append({trial.rule})")
        self.write("return found if len(found) < 2 else sorted(found)")
        exec("\n".join(self._lines), self.names)  # noqa: S102 - made of numbers and of quoted keys
        match: Match = self.names["match"]
        return match

    def _look_up_filed(self, at: int) -> None:
        """
        Add the lines that try the ways filed under the values of a path.
        """
        find = f"ways = table{at}.get(v{at} if type(v{at}) is str else key_of(v{at}))"
        found = f"    if ways: {self._walk('ways')}"
        if at in self.inside:
            self.write(f"for key in set(map(key_of, v{at})):", f"    ways = table{at}.get(key)", found)
        elif self._with_lists:
            self.write(f"for value in v{at} if type(v{at}) is list else (v{at},):")
            self.write(f"    ways = table{at}.get(key_of(value))", found)
        else:
            self.write(f"if v{at} is not UNSET:", f"    {find}", found)

    def _walk(self, ways: str) -> str:
        """
        Return the call that tries ways that are not written out.
        """
        if not self.inside:
            return f"satisfied({ways}, {self.values}, found)"
        return f"satisfied_in_rows({ways}, {self.values}, inside, found)"

    def _tests(self, trial: Trial) -> str:
        """
        Return the tests of one way; those behind one array have to hold in one of its rows.
        """
        test = _TEST_ANY if self._with_lists else _TEST
        outside: list[str] = []
        by_array: dict[int, list[tuple[str, int]]] = {}
        for at, accepts in trial.own:
            name = f"a{next(self._accepts)}"
            self.names[name] = accepts
            if at in self.inside:
                by_array.setdefault(self.inside[at], []).append((name, at))
            else:
                outside.append(test.format(test=name, at=at))
        return " and ".join((*outside, *map(_in_one_row, by_array.values())))


def _in_one_row(tests: Sequence[tuple[str, int]]) -> str:
    """
    Return the test of whether all of these, each of its column, hold in one row.
    """
    if len(tests) == 1:
        return f"any(map({tests[0][0]}, v{tests[0][1]}))"
    row = ", ".join(f"x{at}" for _, at in tests)
    columns = ", ".join(f"v{at}" for _, at in tests)
    return f"any({' and '.join(f'{name}(x{at})' for name, at in tests)} for {row} in zip({columns}))"


def _tuple(names: Iterable[str]) -> str:
    return f"({', '.join(names)},)"


def _ends(tree: Tree) -> Iterator[int]:
    """
    Yield the positions of the paths that end below an object.
    """
    for inner in tree.values():
        if isinstance(inner, int):
            yield inner
        else:
            yield from _ends(inner)
