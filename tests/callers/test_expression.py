"""Expressions of a caller's model: one reader, the same value in numbers and in Z3's terms."""

import pytest
import z3
from hypothesis import given
from hypothesis import strategies as st

from mcverify.callers.expression import ExpressionError, expression

NUMBERS = (
    "a + b - 3",
    "a // 2 + b % page",
    "min(a, b) * 2",
    "max(a, -b)",
    "a if a < b and not b == 3 else b",
    "-a if a >= b or a != 7 else 5",
)


@pytest.mark.parametrize("text", NUMBERS)
@given(a=st.integers(-9000, 9000), b=st.integers(-9000, 9000))
def test_numbers_and_terms_agree(text, a, b):
    found = expression(text, "number")
    values = {"a": a, "b": b, "page": 4096}
    terms = {name: z3.IntVal(value) for name, value in values.items()}
    assert z3.simplify(found.term(terms)).as_long() == found.number(values)


@pytest.mark.parametrize(
    ("text", "sort", "said"),
    [
        ("a +", "number", "cannot be read"),
        ("a < b", "number", "is a condition and not a number"),
        ("a and b", "condition", "has a number where a condition belongs"),
        ("a / b", "number", "a form that is not understood"),
        ("a // b", "number", "divides by something else than a positive number"),
        ("a % 0", "number", "divides by something else than a positive number"),
        ("open('x')", "number", "a form that is not understood"),
        ("a.b", "number", "a form that is not understood"),
        ("1.5", "number", "a form that is not understood"),
        ("True", "condition", "a form that is not understood"),
        ("0 < a < b", "condition", "a form that is not understood"),
        ("a" * 400, "number", "at most"),
        (3, "number", "is not a text"),
    ],
)
def test_what_is_no_expression_is_refused(text, sort, said):
    with pytest.raises(ExpressionError, match=said):
        expression(text, sort)
