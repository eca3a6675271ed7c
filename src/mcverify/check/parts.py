"""An obligation in two parts: if neither is satisfiable it is not. What has a long proof often has two short
ones. Either a claim is proved first and used then, or a condition holds, or not.
"""

from __future__ import annotations

from collections.abc import Iterator

from mcverify.check.script import Script, Term, below, conjuncts, read, replaced, written
from mcverify.check.sums import ANY, NormalForm, normal

_RELATIONS = frozenset("= bvult bvule bvugt bvuge bvslt bvsle bvsgt bvsge".split())


def claimed(text: str) -> tuple[str, str] | None:
    """A script in two: the first sum of low bits that it has wraps; and it does not, so that it is the sum of
    the whole terms. A comparison of one with the other goes through the carries of both otherwise.

    The last assertion is taken for the negated goal: it is no premise of the claim. None without such a sum.
    Raises NotRead.
    """
    script = read(normal(text, ANY))
    form = NormalForm(script.terms)
    for term in below(script.asserted):
        whole = form.widened(term)
        if whole is not None:
            wraps = script.terms.make("not", [script.terms.apply("=", [term, whole])])
            return written([*script.asserted[:-1], wraps]), written(replaced(script, term, whole))
    return None


def halves(text: str) -> tuple[str, str] | None:
    """A script in two cases: with a condition of which its last assertion makes use, and with its opposite;
    None if there is none of which nothing is asserted. Raises NotRead."""
    script = read(text)
    asserted = [part for term in script.asserted for part in conjuncts(term)]
    decided = {term.operands[0] if term.operator == "not" else term for term in asserted}
    for condition in _conditions(script):
        if condition not in decided:
            cases = condition, script.terms.make("not", [condition])
            *premises, goal = script.asserted
            one, other = (written([*premises, case, goal]) for case in cases)
            return one, other
    return None


def _conditions(script: Script) -> Iterator[Term]:
    """The comparisons on which the last assertion hangs: those between whose cases it distinguishes first,
    what is behind others after what is before them."""
    order = below(script.asserted[-1:])
    chosen = [term.operands[0] for term in order if term.operator == "ite"]
    inner = [operand for term in order if not term.width for operand in term.operands if not operand.width]
    yield from (term for term in [*chosen, *inner] if term.operator in _RELATIONS)
