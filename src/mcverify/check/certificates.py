"""Certificates: each obligation as clauses, a proof of Glucose's that they contradict each other, and a
checker's word on that proof.

The obligation's sums are put in normal form; then bitwuzla writes the clauses, with its rewriting and
preprocessing switched off. What has a long proof is divided, and each part proved. That the clauses say what
the obligation says is what no certificate covers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import islice
from typing import Any, Self

from mcverify.check.parts import claimed, halves
from mcverify.check.solvers import in_processes
from mcverify.check.sums import ANY, is_contradiction, normal
from mcverify.scratch import scratch_folder

_WRITTEN = 1.0
"""Seconds in which clauses mostly are written; that bitwuzla refutes them itself is of no use."""

_BRIEF = 1000
"""Conflicts of a first try."""

_LONG = 1000
"""Lines of a proof from which on two parts are tried."""

_DEEPEST = 24
"""So often an obligation is divided at most."""


class Certified(StrEnum):
    """What became of a certificate."""

    CHECKED = "checked"
    IDENTITY = "identity"
    """Its sums are contradictory as they stand in normal form: there are no clauses to prove anything of."""
    REJECTED = "rejected"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Certificate:
    """What became of one certificate: clauses, of the largest of its parts; the lines of the proof of each,
    every line deriving one clause more; seconds; and why not."""

    standing: Certified
    clauses: int = 0
    lines: tuple[int, ...] = ()
    seconds: float = 0.0
    why: str = ""


def certify_all(
    texts: Sequence[str], limit: float, jobs: int, progress: Callable[[int], None]
) -> Iterator[Certificate]:
    """Certificates of the scripts, in order, each written for `limit` seconds at most."""
    for number, found in enumerate(in_processes(certify, [(t, limit) for t in texts], jobs), 1):
        yield found if isinstance(found, Certificate) else Certificate(Certified.NONE, why=found)
        progress(number)


def certify(text: str, limit: float) -> Certificate:
    """The certificate of one script, in this process."""
    start = time.perf_counter()
    try:
        try:
            parts = _parts(text, start + limit / 2, 0)
        except TimeoutError:
            parts = [_at_length(text, start + limit)]
        sizes = [part.dimacs.count("\n") for part in parts]
        lines = [len(part.proof) for part in parts]
        standing = Certified.CHECKED if any(lines) else Certified.IDENTITY
        if not all(is_proof(part.dimacs, part.proof) for part in parts if part.proof):
            standing = Certified.REJECTED
    except Exception as error:  # whatever a solver raises, there is no certificate
        why = " ".join(str(error).split())[:200] or type(error).__name__
        return Certificate(Certified.NONE, seconds=time.perf_counter() - start, why=why)
    return Certificate(standing, max(sizes), tuple(lines), time.perf_counter() - start)


class _SatisfiableError(ValueError):
    """There is nothing to be proved."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Clauses and the proof that they contradict each other, both empty where the sums do."""

    dimacs: str = ""
    proof: Sequence[str] = ()


def _parts(text: str, until: float, depth: int) -> list[_Part]:
    """The proofs that make up that of one script, `depth` divisions below the obligation. `until` is a time
    of `perf_counter`. Raises TimeoutError and _SatisfiableError."""
    found = _briefly(islice(_forms(text), 1 if depth else None), until)
    if found is not None and len(found.proof) <= _LONG:
        return [found]
    if depth < _DEEPEST:
        divided = _divided(text, until, depth)
        if divided and (found is None or max(len(part.proof) for part in divided) < len(found.proof)):
            return divided
    return [found if found is not None else _at_length(text, until)]


def _divided(text: str, until: float, depth: int) -> list[_Part]:
    """The proofs of a script in two parts; none where it has none."""
    if (both := claimed(text)) is not None:
        try:
            claim = _briefly(_forms(both[0]), until)
        except _SatisfiableError:
            claim = None
        if claim is not None:
            return [claim, *_parts(both[1], until, depth + 1)]
    cases = halves(text) or ()
    return [part for case in cases for part in _parts(case, until, depth + 1)]


def _briefly(forms: Iterable[str], until: float) -> _Part | None:
    """The shortest proof of one of the forms that is found within some conflicts; the first that is short
    enough."""
    best: _Part | None = None
    for form in forms:
        if is_contradiction(form):
            return _Part()
        with _Search(form, until) as search:
            if search.ends_within(_BRIEF):
                found = search.found()
                if best is None or len(found.proof) < len(best.proof):
                    best = found
                if len(best.proof) <= _LONG:
                    break
    return best


def _at_length(text: str, until: float) -> _Part:
    """The first proof of one of the forms, each tried for some conflicts, then all for four times as many."""
    budget = _BRIEF
    with ExitStack() as stack:
        searches: list[_Search] = []
        forms = tuple(_forms(text))
        while time.perf_counter() < until:
            for number, form in enumerate(forms):
                if number == len(searches):
                    searches.append(stack.enter_context(_Search(form, until)))
                if searches[number].ends_within(budget):
                    return searches[number].found()
            budget *= 4
    raise TimeoutError("Glucose found no proof in time")


def _forms(text: str) -> Iterator[str]:
    """Scripts that all say the same: what is long in one is often short in another."""
    yield normal(text)
    yield normal(text, ANY)
    yield text


class _Search:
    """Glucose at work on a script: on its clauses, or enough of them to contradict each other."""

    def __init__(self, script: str, until: float) -> None:
        self._script, self._until = script, until
        try:
            self._start(*_clauses(script, min(_WRITTEN, self._left())))
        except TimeoutError:
            self._start(*_clauses(script, self._left()))

    def _left(self) -> float:
        return max(0.1, self._until - time.perf_counter())

    def _start(self, dimacs: str, complete: bool) -> None:
        self._dimacs, self._complete = dimacs, complete
        self._solver = solver_of(dimacs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._solver.delete()

    def ends_within(self, conflicts: int) -> bool:
        """Whether it finds a proof within so many conflicts more. Raises _SatisfiableError if there is none,
        and TimeoutError where clauses are missing."""
        self._solver.conf_budget(conflicts)
        satisfiable = self._solver.solve_limited()
        if satisfiable and not self._complete:
            self._solver.delete()
            self._start(*_clauses(self._script, self._left()))
            if not self._complete:
                raise TimeoutError("bitwuzla did not write all clauses in time")
            return self.ends_within(conflicts)
        if satisfiable:
            raise _SatisfiableError("Glucose finds the clauses satisfiable")
        return satisfiable is False

    def found(self) -> _Part:
        """The proof that it found."""
        return _Part(self._dimacs, proof_of(self._solver))


def _clauses(text: str, limit: float) -> tuple[str, bool]:
    """The script as clauses in DIMACS format, and whether these are all: bitwuzla writes them first, and some
    may be missing where it did not find an answer in time. Raises TimeoutError where it wrote none."""
    import bitwuzla

    with scratch_folder() as folder:
        file = folder / "clauses.cnf"
        options = bitwuzla.Options()
        options.set(bitwuzla.Option.TIME_LIMIT_PER, int(limit * 1000))
        options.set(bitwuzla.Option.REWRITE_LEVEL, 0)
        options.set(bitwuzla.Option.PREPROCESS, False)
        options.set(bitwuzla.Option.WRITE_CNF, str(file))
        parser = bitwuzla.Parser(bitwuzla.TermManager(), options)
        parser.parse(text, parse_only=True, parse_file=False)
        result = parser.bitwuzla().check_sat()
        if not file.exists():
            raise TimeoutError("bitwuzla wrote no clauses in time")
        return file.read_text(), result != bitwuzla.Result.UNKNOWN


def solver_of(dimacs: str) -> Any:
    """Glucose with clauses in DIMACS format. CaDiCaL's proofs were up to ten times as long: what it does to
    the clauses before it begins is in them."""
    from pysat.formula import CNF
    from pysat.solvers import Glucose4

    return Glucose4(bootstrap_with=CNF(from_string=dimacs).clauses, with_proof=True)


def proof_of(solver: Any) -> list[str]:
    """The proof of a solver that found its clauses unsatisfiable, in DRAT's text format. It has no deletions:
    without them each line still follows from those before it."""
    return [*(line for line in solver.get_proof() if not line.startswith("d")), "0"]


def is_proof(dimacs: str, proof: Sequence[str]) -> bool:
    """Whether each line of a proof follows by unit propagation, and with the last the empty clause."""
    checker = _checker()
    result = checker.check_proof(
        checker.parse_dimacs(dimacs), "\n".join(proof), check_rat=False, engine="native"
    )
    return bool(result.ok)


@cache
def _checker() -> Any:
    """The checker, after it has told broken proofs from a right one."""
    import cdclkit  # noqa: F401 -- brings the quick half of the checker
    import dratify

    both_ways = "p cnf 2 4\n1 2 0\n-1 2 0\n1 -2 0\n-1 -2 0\n"
    satisfiable = "p cnf 2 3\n1 2 0\n-1 2 0\n1 -2 0\n"
    cases = [(both_ways, "2 0\n0", True), (both_ways, "0", False), (satisfiable, "2 0\n0", False),
             (satisfiable, "-2 0\n0", False), (satisfiable, "", False)]  # fmt: skip
    for dimacs, proof, wanted in cases:
        for engine in ("native", "python"):
            said = dratify.check_proof(dratify.parse_dimacs(dimacs), proof, check_rat=False, engine=engine)
            if bool(said.ok) != wanted:
                raise RuntimeError(f"the {engine} proof checker is wrong about {proof!r}")
    return dratify
