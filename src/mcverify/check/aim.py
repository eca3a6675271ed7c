"""Values that a solver proposes, so that a condition which no random state showed is seen both ways.

They only choose what is tried: nothing rests on the solver here.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from mcverify.check.solvers import milliseconds
from mcverify.check.term import Term, parts

_SECONDS = 0.5
_MOST = 400
"""Questions for one location."""


def models_of(wanted: Iterable[tuple[Term, bool]], until: float) -> Iterator[dict[str, int]]:
    """For each condition with a truth value values of its symbols that give it, if any are found soon; none
    any more once it is `until`, by the monotonic clock."""
    for number, (condition, value) in enumerate(wanted):
        if number >= _MOST or time.monotonic() > until:
            return
        try:
            found = _model(condition, value)
        except Exception:  # whatever a solver raises, it proposes nothing
            continue
        if found:
            yield found


def _model(condition: Term, value: bool) -> dict[str, int] | None:
    import bitwuzla

    options = bitwuzla.Options()
    options.set(bitwuzla.Option.PRODUCE_MODELS, True)
    options.set(bitwuzla.Option.TIME_LIMIT_PER, milliseconds(_SECONDS))
    parser = bitwuzla.Parser(bitwuzla.TermManager(), options)
    names = sorted({p.operator: p.width for p in parts(condition) if p.is_symbol}.items())
    lines = ["(set-logic QF_BV)"]
    lines += [f"(declare-const {n} {f'(_ BitVec {w})' if w else 'Bool'})" for n, w in names]
    lines += _defined(condition)
    lines.append("(assert goal)" if value else "(assert (not goal))")
    parser.parse("\n".join(lines), True, False)
    solver = parser.bitwuzla()
    if solver.check_sat() != bitwuzla.Result.SAT:
        return None
    found = {}
    for name, width in names:
        text = solver.get_value(parser.parse_term(name)).value(2) if width else None
        if text is not None:
            found[name] = int(str(text), 2)
    return found


def _defined(term: Term) -> Iterator[str]:
    """The term as definitions, one for each part that has operands; the whole is `goal`."""
    names: dict[int, str] = {}
    order = parts(term)
    for number, part in enumerate(order):
        sort = f"(_ BitVec {part.width})" if part.width else "Bool"
        if part.is_symbol:
            names[id(part)] = part.operator
        elif not part.operands:
            names[id(part)] = (
                f"(_ bv{part.value} {part.width})" if part.width else str(bool(part.value)).lower()
            )
        else:
            operator = part.operator
            if part.numbers:
                operator = f"(_ {operator} {' '.join(map(str, part.numbers))})"
            name = "goal" if number + 1 == len(order) else f"part.{number}"
            body = " ".join(names[id(o)] for o in part.operands)
            yield f"(define-fun {name} () {sort} ({operator} {body}))"
            names[id(part)] = name
