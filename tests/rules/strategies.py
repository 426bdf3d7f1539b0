"""
Patterns, events and texts for property tests: few names and values, so that they meet often.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

NAMES = st.sampled_from(["a", "b", "c", "a.b", "b.c", "-"])
ADDRESSES = st.sampled_from(["10.0.0.1", "010.0.0.01", "10.1.0.1", "a00:1::", "::1", "0:0::1", "::ffff:a00:1", "1.2.3"])
LETTERS = st.text(alphabet="xXyßS\u017f\u03a3\u03c3\u03c2İi*\\", max_size=4)
TEXTS = st.one_of(st.sampled_from(["", "x", "xy", "yx", "1"]), ADDRESSES, LETTERS)
NUMBERS = st.sampled_from([-1, 0, 1, 1.0, 2, 2.5, 2**53 + 1, 2**70, float(2**70)])
SCALARS = st.one_of(TEXTS, TEXTS, NUMBERS, st.sampled_from([None, True, False]))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=12,
)
EVENTS = st.dictionaries(NAMES, VALUES, max_size=4)

DOUBLES = st.sampled_from([-1, 0, 1, 2.5])
BLOCKS = st.sampled_from(["10.0.0.0/8", "10.0.0.1/31", "0.0.0.0/0", "::/0", "a00::/16", "::/127", "::ffff:a00:0/16"])
WILDCARDS = st.lists(st.sampled_from(["x", "y", "*", "\\*", "\\\\", "S"]), max_size=6).map(
    lambda parts: "".join(part for at, part in enumerate(parts) if part != "*" or at == 0 or parts[at - 1] != "*")
)
EDGES = st.one_of(TEXTS, TEXTS.map(lambda text: {"equals-ignore-case": text}))


def one(operator: str, argument: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """
    Make match expressions of one operator.
    """
    return argument.map(lambda value: {operator: value})


def one_or_several(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """
    Make a value, or a list of some.
    """
    return st.one_of(values, st.lists(values, min_size=1, max_size=2))


EXCLUDED = st.one_of(
    one_or_several(TEXTS),
    one_or_several(DOUBLES),
    *(one(operator, one_or_several(TEXTS.filter(bool))) for operator in ("prefix", "suffix")),
    one("equals-ignore-case", one_or_several(TEXTS)),
    one("wildcard", one_or_several(WILDCARDS)),
)
ALTERNATIVES = st.one_of(
    SCALARS,
    SCALARS,
    one("exists", st.booleans()),
    st.just({"exists": False}),
    one("exactly", TEXTS),
    *(one(operator, EDGES) for operator in ("prefix", "suffix")),
    one("equals-ignore-case", TEXTS),
    one("wildcard", WILDCARDS),
    one("numeric", st.tuples(st.sampled_from(["=", "<", "<=", ">", ">="]), DOUBLES).map(list)),
    st.just({"numeric": [">=", 0, "<", 2]}),
    one("cidr", BLOCKS),
    one("anything-but", EXCLUDED),
)
LEAVES = st.lists(ALTERNATIVES, min_size=1, max_size=2)


def with_or(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """
    Make objects of a pattern, some with an `$or` at their end, some at their beginning.
    """
    plain = st.dictionaries(NAMES, inner, min_size=1, max_size=2)
    branches = st.lists(st.dictionaries(NAMES, LEAVES, min_size=1, max_size=2), min_size=2, max_size=2)
    return st.one_of(
        plain,
        st.tuples(plain, branches).map(lambda pair: {**pair[0], "$or": pair[1]}),
        st.tuples(plain, branches).map(lambda pair: {"$or": pair[1], **pair[0]}),
    )


PATTERNS = with_or(st.one_of(LEAVES, with_or(LEAVES)))

ELEMENTS = st.dictionaries(st.sampled_from(["x", "y", "z"]), st.sampled_from([1, 2]), max_size=3)
DEEP_ELEMENTS = st.fixed_dictionaries({}, optional={
    "x": st.sampled_from([1, 2]), "y": st.sampled_from([1, 2]), "k": st.lists(ELEMENTS, max_size=3),
})  # fmt: skip
ARRAY_LEAVES = st.sampled_from([[1], [2], [1, 2], [{"exists": False}], [{"exists": False}, 1]])
ARRAY_PATHS = st.sampled_from(["e.x", "e.y", "e.k.x", "e.k.y", "e.k.z", "f.x", "e.k"])
ARRAY_PATTERNS = st.dictionaries(ARRAY_PATHS, ARRAY_LEAVES, min_size=2, max_size=5)
ARRAY_EVENTS = st.fixed_dictionaries(
    {"e": st.lists(DEEP_ELEMENTS, max_size=3), "f": st.lists(ELEMENTS, max_size=2)},
    optional={"e.x": st.sampled_from([1, [2], [{"y": 1}]]), "e.k": st.lists(ELEMENTS, max_size=2)},
)
"""Events in which many names share arrays within arrays, sometimes spelled with a dot as well."""
