"""
A formula is read by the rules of arithmetic, or refused with the place where it cannot be.
"""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metriclake._errors import Fault
from metriclake.query.formula import MAX_LENGTH, MAX_OPERATIONS, measures_of, read_formula
from metriclake.store import Constant, Measure, Operation, Term

NAMES = ("a", "b", "errors", "a-b", "x.y:z", "$c")


def written(term: Term) -> str:
    """
    Return a formula with all of its brackets.
    """
    if isinstance(term, Operation):
        return f"({written(term.left)} {term.sign} {written(term.right)})"
    return str(term.value) if isinstance(term, Constant) else getattr(term, "name", "")


def bracketed(node: ast.expr) -> str:
    """
    Return an expression of Python's with all of its brackets.
    """
    if isinstance(node, ast.BinOp):
        signs = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
        return f"({bracketed(node.left)} {signs[type(node.op)]} {bracketed(node.right)})"
    if isinstance(node, ast.UnaryOp):
        return f"(0.0 - {bracketed(node.operand)})"
    return node.id if isinstance(node, ast.Name) else str(float(ast.literal_eval(node)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("errors / total", "(errors / total)"),
        ("errors/total", "(errors / total)"),
        ("100 * errors / (errors + done)", "((100.0 * errors) / (errors + done))"),
        ("a - b - c", "((a - b) - c)"),
        ("a / b / c", "((a / b) / c)"),
        ("a + b * c - d", "((a + (b * c)) - d)"),
        ("-a * -2", "((0.0 - a) * (0.0 - 2.0))"),
        ("  a\t*\n1.5e3 ", "(a * 1500.0)"),
        (".5 * a + 1.", "((0.5 * a) + 1.0)"),
        ("a-b - c", "(a-b - c)"),
        ("a- b", "(a - b)"),
        ("a -b", "(a - b)"),
        ("(((a)))", "a"),
        ("lead-time:p.x / $total", "(lead-time:p.x / $total)"),
    ],
)
def test_a_formula_is_read(text: str, expected: str) -> None:
    """
    Products bind before sums, signs of one kind from the left, and a name may have a dash within.
    """
    term = read_formula(text)

    assert not isinstance(term, Fault)
    assert written(term) == expected


@pytest.mark.parametrize("name", ["a", "a-b", "trailing-", "$x", "_", "A.b:c-d", "x" * 200])
def test_a_name_alone_is_a_measure(name: str) -> None:
    """
    What may be a measure's name is one, whatever signs it has.
    """
    assert read_formula(name) == Measure(name, ())


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a /", "cannot be read at character 4: expected a measure, a number or `(`"),
        ("/ a", "cannot be read at character 1: expected a measure, a number or `(`"),
        ("a b", "cannot be read at character 3: expected the end, or one of + - * /"),
        ("2a", "cannot be read at character 2: expected the end, or one of + - * /"),
        ("(a + b", "cannot be read at character 7: expected `)`, or one of + - * /"),
        ("a + b)", "cannot be read at character 6: expected the end, or one of + - * /"),
        ("()", "cannot be read at character 2: expected a measure, a number or `(`"),
        ("a % b", "cannot be read at character 3: it is no part of a formula"),
        ("a; DROP TABLE metrics", "cannot be read at character 2: it is no part of a formula"),
        ("sum(a)", "cannot be read at character 4: expected the end, or one of + - * /"),
        ("a * 1e999", "cannot be read at character 5: the number is too large"),
        ("1 + 2", "names no measure"),
        ("7", "names no measure"),
        ("\u00e9 + a", "cannot be read at character 1: it is no part of a formula"),
        ("\u0663 * a", "cannot be read at character 1: it is no part of a formula"),
        (" ", "cannot be read at character 2: expected a measure, a number or `(`"),
        ("a" + " + a" * (MAX_OPERATIONS + 1), f"has more than {MAX_OPERATIONS} signs and brackets"),
        ("(" * 400 + "a" + ")" * 50, f"has more than {MAX_OPERATIONS} signs and brackets"),
        ("a + " + "b" * MAX_LENGTH, f"has more than {MAX_LENGTH} characters"),
    ],
)
def test_what_is_no_formula_is_refused_with_its_place(text: str, what: str) -> None:
    """
    The first character that cannot be read is named, with what could stand there.
    """
    found = read_formula(text)

    assert isinstance(found, Fault)
    assert (found.place, found.what) == ("measure", what)


EXPRESSIONS = st.recursive(
    st.sampled_from(("a", "b", "errors", "2", "0.5", "1e3")),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(" ".join),
        inner.map("({})".format),
        inner.map("- {}".format),
    ),
    max_leaves=12,
)


@given(EXPRESSIONS)
def test_arithmetic_is_pythons(text: str) -> None:
    """
    Whatever is written with names, numbers, signs and brackets is read as Python reads it.
    """
    found = read_formula(text)

    if isinstance(found, Fault):
        assert "a" not in text.replace("(", " ").split()
        assert found.what == "names no measure"
    else:
        assert written(found) == bracketed(ast.parse(text.strip(), mode="eval").body)


@given(st.text(st.sampled_from("ab1.e+-*/() \t$:_"), max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    """
    No text breaks the reader: it becomes measures, or a fault with words.
    """
    found = read_formula(text)

    assert found.what if isinstance(found, Fault) else measures_of(found)
