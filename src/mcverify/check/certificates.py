"""Certificates: each obligation as clauses, a proof of Glucose's that they contradict each other, and a
checker's word on that proof.

The obligation's sums are put in normal form; then bitwuzla writes the clauses, with its rewriting and
preprocessing switched off. That the clauses say what the obligation says is what no certificate covers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from mcverify.check.solvers import in_processes
from mcverify.check.sums import is_contradiction, normal
from mcverify.scratch import scratch_folder


class Certified(StrEnum):
    """What became of a certificate."""

    CHECKED = "checked"
    IDENTITY = "identity"
    """Its sums are contradictory as they stand in normal form: there are no clauses to prove anything of."""
    REJECTED = "rejected"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Certificate:
    """What became of one certificate: how many clauses, and lines of a proof that each derive one more, there
    are, seconds, and why not."""

    standing: Certified
    clauses: int = 0
    lines: int = 0
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
        text = normal(text)
        if is_contradiction(text):
            return Certificate(Certified.IDENTITY, seconds=time.perf_counter() - start)
        dimacs = _clauses(text, limit)
        proof = _proof(dimacs)
        if proof is None:
            return Certificate(
                Certified.NONE, dimacs.count("\n"), why="Glucose finds the clauses satisfiable"
            )
        standing = Certified.CHECKED if is_proof(dimacs, proof) else Certified.REJECTED
    except Exception as error:  # whatever a solver raises, there is no certificate
        why = " ".join(str(error).split())[:200] or type(error).__name__
        return Certificate(Certified.NONE, seconds=time.perf_counter() - start, why=why)
    return Certificate(standing, dimacs.count("\n"), len(proof), time.perf_counter() - start)


def _clauses(text: str, limit: float) -> str:
    """The script as clauses in DIMACS format. Raises TimeoutError."""
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
            raise TimeoutError("bitwuzla wrote no clauses")
        if result != bitwuzla.Result.UNSAT:
            raise TimeoutError(f"bitwuzla did not refute it in {limit:g} s")
        return file.read_text()


def _proof(dimacs: str) -> list[str] | None:
    """Glucose's proof, in DRAT's text format without deletions, None where the clauses are satisfiable.

    What is not deleted does no harm: each line must follow from those before it. CaDiCaL's proofs were up to
    ten times as long: what it does to the clauses before it begins is in them.
    """
    from pysat.formula import CNF
    from pysat.solvers import Glucose4

    with Glucose4(bootstrap_with=CNF(from_string=dimacs).clauses, with_proof=True) as solver:
        if solver.solve():
            return None
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
