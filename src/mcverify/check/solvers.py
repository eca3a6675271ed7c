"""The same question to other solvers: bitwuzla and cvc5, each in a process apart.

What kills or stops the process of a question is no answer to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from mcverify.crew import Processes
from mcverify.errors import ElsewhereError


class Said(StrEnum):
    """What a solver says of premises with the negated goal. Only UNSAT proves."""

    UNSAT = "unsat"
    SAT = "sat"
    TIMEOUT = "timeout"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, with the seconds that it took; `why` is the solver's own word on an error."""

    said: Said
    seconds: float
    why: str = ""


def milliseconds(limit: float) -> int:
    """A limit as the solvers take it: 0 would be none."""
    return max(1, int(limit * 1000))


def _bitwuzla(text: str, limit: float) -> str:
    import bitwuzla

    options = bitwuzla.Options()
    options.set(bitwuzla.Option.TIME_LIMIT_PER, milliseconds(limit))
    parser = bitwuzla.Parser(bitwuzla.TermManager(), options)
    parser.parse(text, parse_only=True, parse_file=False)
    result = parser.bitwuzla().check_sat()
    names = {bitwuzla.Result.UNSAT: "unsat", bitwuzla.Result.SAT: "sat"}
    return names.get(result, "unknown")


_BRIEF = 1.0
"""Seconds of a first try."""


def _cvc5(text: str, limit: float) -> str:
    """cvc5's translation to integers, which is quick on sums, and its bit-blaster in turns, first briefly:
    where one of them does not end the other mostly decides at once."""
    brief = min(_BRIEF, limit / 4)
    said = ""
    for seconds in (brief, limit / 2 - brief):
        for options in ({"solve-bv-as-int": "sum"}, {}):
            said = _cvc5_with(text, seconds, options)
            if said in ("unsat", "sat"):
                return said
    return said


def _cvc5_with(text: str, limit: float, options: Mapping[str, str]) -> str:
    import cvc5

    solver = cvc5.Solver(cvc5.TermManager())
    solver.setOption("tlimit-per", str(milliseconds(limit)))
    for name, value in options.items():
        solver.setOption(name, value)
    parser = cvc5.InputParser(solver)
    parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, text, "obligation")
    symbols, said = parser.getSymbolManager(), ""
    while not (command := parser.nextCommand()).isNull():
        said = str(command.invoke(solver, symbols)).strip() or said
    return said


SOLVERS: Mapping[str, Callable[[str, float], str]] = {"bitwuzla": _bitwuzla, "cvc5": _cvc5}
"""Each takes a script and a limit in seconds, and answers "unsat", "sat" or something else."""


def ask(solver: str, text: str, limit: float) -> Reply:
    """What `solver` says of a script, in this process."""
    start = time.perf_counter()
    try:
        said = SOLVERS[solver](text, limit)
    except Exception as error:  # whatever a solver raises, it has not answered
        why = " ".join(str(error).split())[:200]
        return Reply(Said.ERROR, time.perf_counter() - start, why or type(error).__name__)
    known = {"unsat": Said.UNSAT, "sat": Said.SAT}
    return Reply(known.get(said, Said.TIMEOUT), time.perf_counter() - start)


def versions() -> dict[str, str]:
    """The solvers' versions."""
    from importlib import metadata

    return {name: metadata.version(name) for name in SOLVERS}


def ask_all(
    texts: Sequence[str], limit: float, jobs: int, progress: Callable[[int], None]
) -> Iterator[dict[str, Reply]]:
    """The replies to each script, by solver, in order. `progress` is told how many scripts are done."""
    questions = [(name, text, limit) for text in texts for name in SOLVERS]
    replies = in_processes(ask, questions, jobs)
    for number in range(1, len(texts) + 1):
        found = {name: next(replies) for name in SOLVERS}
        yield {n: r if isinstance(r, Reply) else Reply(Said.ERROR, 0.0, r) for n, r in found.items()}
        progress(number)


_Answer = TypeVar("_Answer")


def in_processes(
    function: Callable[..., _Answer], arguments: Sequence[tuple[object, ...]], jobs: int
) -> Iterator[_Answer | str]:
    """What `function` gives for each of the `arguments`, in order, `jobs` of them at a time in other
    processes; a sentence where such a process ended."""
    with Processes(jobs, _silent) as hands:
        for pending in [hands.submit(_called, function, *each) for each in arguments]:
            try:
                yield pending.result()
            except ElsewhereError as error:
                yield error.message


def _called(function: Callable[..., _Answer], *arguments: object) -> _Answer:
    """What the function gives; the last argument, which would be told of its progress, is of no use to it."""
    return function(*arguments[:-1])


def _silent(_: str) -> None:
    pass
