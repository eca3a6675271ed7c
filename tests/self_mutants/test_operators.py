"""The changes that `make self-mutants` makes."""

from __future__ import annotations

import ast
import tomllib

import pytest

from self_mutants.__main__ import MODULES, ROOT, SOURCE, SURVIVORS
from self_mutants.operators import mutants

HEAD = "def f(a: int | None, b):\n    '''A docstring of 3 words.'''\n"


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        ("return a < b", {"return a <= b"}),
        ("return a == b and b", {"return a != b and b", "return a == b or b"}),
        ("return not a", {"return not not a"}),
        ("return a + 8", {"return a - 8", "return a + 9"}),
        ("return z3.ULE(a, b)", {"return z3.ULT(a, b)"}),
        ("return z3.And(a, b)", {"return z3.Or(a, b)", "return z3.And(b)", "return z3.And(a)"}),
        ("return z3.Not(a)", {"return z3.Not(z3.Not(a))"}),
        ("return z3.Implies(a, b)", {"return z3.Implies(b, a)"}),
        ("return z3.If(a, b, c)", {"return z3.If(a, c, b)"}),
        ("yield a", {"None"}),
        ("if a:\n        b()", {"if False:\n        b()"}),
        ("return a if b else c", {"return a if not b else c"}),
        ("raise ValueError(a + b)", set()),
        ("return f'{a + b}'", set()),
    ],
)
def test_each_operator_is_changed_alone(body: str, changed: set[str]) -> None:
    texts = [m.text for m in mutants(HEAD + f"    {body}\n")]
    heads = ast.unparse(ast.parse(HEAD + "    pass")).removesuffix("pass")
    assert {text.removeprefix(heads) for text in texts} == changed
    assert len(texts) == len(changed)


@pytest.mark.parametrize("module", MODULES)
def test_the_mutants_of_a_module_differ_and_bear_names_of_their_own(module: str) -> None:
    text = (SOURCE / "mcverify" / module).read_text(encoding="utf-8")
    found = list(mutants(text))
    assert found
    assert len({m.name for m in found}) == len(found)
    assert len({m.text for m in found} | {ast.unparse(ast.parse(text))}) == len(found) + 1
    assert all((ROOT / tests.partition("::")[0]).exists() for tests in MODULES[module])


def test_each_survivor_that_is_explained_is_a_mutant() -> None:
    for module, names in tomllib.loads(SURVIVORS.read_text(encoding="utf-8")).items():
        text = (SOURCE / "mcverify" / module).read_text(encoding="utf-8")
        assert names.keys() <= {m.name for m in mutants(text)}, module
        assert all(reason.strip() for reason in names.values())
