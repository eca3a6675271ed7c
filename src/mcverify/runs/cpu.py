"""Runs a routine on the host's CPU, with real faults: the face of the native harness.

Each call starts a child process. The routine may crash it, loop in it, write anywhere in it: the case at
which that happens is told, the others go on in a new child. What a child says is as trustworthy as the
routine: it may be anything, so all of it is checked here for what it can be, and each call comes to its end
whatever it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from mcverify.contract import Contract
from mcverify.crew import usable_cpus
from mcverify.deadline import Deadline
from mcverify.image.image import Image
from mcverify.runs import native, wire
from mcverify.runs.case import Case, Ending, Outcome, Visit
from mcverify.runs.child import Answer, Children, Job
from mcverify.runs.code import reachable
from mcverify.runs.grid import Grid, GridResult, GridViolation, merge, read_grid, split
from mcverify.runs.wire import GarbledError, Mark, Mode

Step = tuple[int, dict[str, int]]
"""Address of an instruction and the registers before it."""

NumberedStep = tuple[int, int, dict[str, int]]
"""The same, after the number of the step in its run."""

_SECONDS_PER_LONG_BYTE = 1 / (20 << 20)
_GRID_SECONDS = 900.0
_HOUR = 3600.0
_WORTH_A_CHILD = 5000
_MOST_CHILDREN = 16
_MAX_DEATHS = 16
_DIED_AT = 1 << 7
"""The mark of a case that brings the process down: it breaks O7, if anything."""

_STUCK = 5.0
"""Seconds of the CPU that no case can take, whose own limit is some hundredths of one (max_ticks in
harness.c)."""
_STUCK_STEPPED = 40.0
"""The same where each instruction is stepped; the limit of a case is 20 of them."""


def available() -> str | None:
    """Why this host cannot run x86-64 routines natively; None if it can."""
    return native.unavailable()


class CpuRunner:
    """Runs the routine at `entry` of `image`, called as `contract` says. A run in which an access of the kind
    `unstruck` ("load", "store") faults that has no entry is refused.

    Every method raises OutOfTime when `deadline` is reached.
    """

    def __init__(
        self,
        image: Image,
        entry: int,
        contract: Contract,
        deadline: Deadline | None = None,
        unstruck: str | None = None,
    ) -> None:
        self._deadline = deadline or Deadline(None)
        self._program = wire.program(image, entry, contract, reachable(image, entry), unstruck)

    def run(self, cases: Sequence[Case]) -> list[Outcome]:
        """The outcome of each case, in order.

        Cases after too many that bring the process down, or do not return, are REFUSED.
        """
        outcomes: list[Outcome] = []
        longest = wire.longest(cases)
        presets, tests = wire.tests_of(cases)
        deaths = 0
        while len(outcomes) < len(cases) and deaths < _MAX_DEATHS:
            left = cases[len(outcomes) :]
            words = self._program.job(Mode.RUN, tests, len(cases), longest, len(outcomes), presets)
            answer = self._ask(Job(words, wire.most_of_outcomes(left), _stuck(left)), _patience(left))
            found = wire.read_outcomes(answer.output, left, self._program.bias)
            outcomes += found
            # A child that had more to say than is read at a time goes on behind it.
            if len(outcomes) < len(cases) and not (answer.flooded and found):
                outcomes.append(wire.nothing(Ending.DIED))
                deaths += 1
        return outcomes + [wire.nothing(Ending.REFUSED)] * (len(cases) - len(outcomes))

    def sample(self, cases: Sequence[Case], addresses: Iterable[int], limit: int = 4000) -> list[Visit]:
        """The states before each instruction of `addresses`, single-stepped; a REP shows each iteration.

        At most about `limit` visits an address, spread over the cases: of each case the first ones
        and the last ones, apart for before and after the first fault. Cases longer than
        `wire.LONGEST_MAP` are refused with ValueError. Those after too many that bring the process down show
        nothing.
        """
        _refuse_long(cases)
        visits: list[Visit] = []
        watched = tuple(sorted(set(addresses)))
        per_case = max(4, limit // max(1, len(cases)))
        presets, tests = wire.tests_of(cases)
        first = deaths = 0
        while first < len(cases) and deaths < _MAX_DEATHS:
            words = self._program.job(
                Mode.SAMPLE, tests, len(cases), wire.longest(cases), first, presets, watched, per_case
            )
            most = wire.most_of_visits(len(cases) - first, len(watched), per_case)
            answer = self._ask(Job(words, most, _STUCK_STEPPED), _patience(cases))
            bounds = wire.Sampled(range(first, len(cases)), frozenset(watched))
            visits += wire.read_visits(answer.output, self._program.bias, bounds)
            if not answer.died:
                break
            deaths += 1
            # Whatever number it says, there is one case less to do.
            first = max(first, min(answer.serial, len(cases))) + 1
        return visits

    def trace(self, case: Case) -> list[Step]:
        """Every step of one case: address and registers before it. Long ones are refused with ValueError."""
        _refuse_long([case])
        return [step[1:] for step in self.ends(case, wire.NONE)]

    def ends(self, case: Case, count: int) -> list[NumberedStep]:
        """The first `count` steps of one case and as many of the last ones, each with its number."""
        presets, tests = wire.tests_of([case])
        words = self._program.job(Mode.TRACE, tests, 1, wire.longest([case]), 0, presets, (), count)
        stuck = _stuck([case]) + _STUCK_STEPPED
        answer = self._ask(Job(words, wire.most_of_trace(case, count), stuck), _patience([case]))
        return wire.read_trace(answer.output, self._program.bias)

    def judge(self, cases: Sequence[Case], *, stepped: bool = False) -> list[Mark]:
        """What each case breaks, in order, as the harness judges: some 10 times as fast as `run`. O10 is seen
        where they are single-stepped (`stepped`), which those longer than `wire.LONGEST_MAP` cannot be.

        Cases after too many that do not return, or that bring the process down, are REFUSED.
        """
        marks: list[Mark] = []
        longest = wire.longest(cases)
        presets, tests = wire.tests_of(cases)
        fatal: list[int] = []
        while len(marks) < len(cases):
            if fatal and fatal[-1] == len(marks):
                marks.append(Mark(_DIED_AT, Ending.DIED))
                continue
            if len(fatal) == _MAX_DEATHS:
                break
            # A child that dies takes the marks with it that it has not written: those cases are run again.
            end = fatal[-1] if fatal and fatal[-1] > len(marks) else len(cases)
            words = self._program.job(Mode.JUDGE, tests, end, longest, len(marks), presets, stepped=stepped)
            stuck = _stuck(cases) + stepped * _STUCK_STEPPED
            most = wire.most_of_marks(end - len(marks))
            answer = self._ask(Job(words, most, stuck), _patience(cases))
            try:
                marks += wire.read_marks(answer.output, self._program.bias, end - len(marks))
            except GarbledError:
                fatal.append(len(marks))  # nobody knows at which of them: the first one pays for it
                continue
            if answer.died and len(marks) <= answer.serial < end:
                fatal.append(answer.serial)
            elif len(marks) < end:
                break
        return marks + [Mark(0, Ending.REFUSED)] * (len(cases) - len(marks))

    def grid(self, grid: Grid, watch: Callable[[int], None] | None = None) -> GridResult:
        """Run and judge every case of a grid, in several processes where that pays.

        `watch` is told now and then how many cases have been run. Where the time is over before the end,
        the result is that of the cases until then.
        """
        count = max(1, min(usable_cpus(), _MOST_CHILDREN, len(grid) // _WORTH_A_CHILD))
        parts = split(grid, count)
        with Children() as children:
            jobs = [self._grid_job(part, 0) for part in parts]
            answers = children.ask(jobs, self._at_most(_GRID_SECONDS), watch)
            return merge(self._grid_part(*pair, children) for pair in zip(parts, answers, strict=True))

    def _grid_part(self, grid: Grid, answer: Answer, children: Children) -> GridResult:
        """The result of one part; a case that brings the child down breaks O7, the others go on."""
        bias = self._program.bias
        results = [_grid_result(answer, bias, grid)]
        done = 0
        while _was_brought_down(answer, grid, done) and len(results) < 2 * _MAX_DEATHS:
            done = answer.serial
            fatal = GridViolation("O7", None, 1, (grid.case(done - 1),), Ending.DIED)
            results.append(GridResult(0, (fatal,), failed=1))
            if self._deadline.remaining() == 0:
                break
            (answer,) = children.ask([self._grid_job(grid, done)], self._at_most(_GRID_SECONDS))
            results.append(_grid_result(answer, bias, grid))
        cases = min(answer.serial, len(grid))
        complete = not answer.died and cases == len(grid) and all(result.complete for result in results[-1:])
        return replace(merge(results), cases=cases, complete=complete)

    def _grid_job(self, grid: Grid, first: int) -> Job:
        words = self._program.job(
            Mode.GRID, grid.words(), len(grid.blocks), grid.longest, first, grid.presets
        )
        return Job(words, 0, _STUCK_STEPPED if any(block.stepped for block in grid.blocks) else _STUCK)

    def _ask(self, job: Job, seconds: float) -> Answer:
        with Children() as children:
            return children.ask([job], self._at_most(seconds))[0]

    def _at_most(self, seconds: float) -> float:
        """`seconds`, or what is left of the budget."""
        self._deadline.check("runs")
        remaining = self._deadline.remaining()
        return seconds if remaining is None else min(seconds, remaining)


def _was_brought_down(answer: Answer, grid: Grid, done: int) -> bool:
    """Whether one of the grid's cases behind the first `done` ended the child."""
    return answer.died and not answer.expired and done < answer.serial <= len(grid)


def _grid_result(answer: Answer, bias: int, grid: Grid) -> GridResult:
    """What the child left; nothing where the routine wrote over it."""
    try:
        return read_grid(answer.shared, bias, grid)
    except GarbledError:
        return GridResult(0, (), complete=False, garbled=True)


def _refuse_long(cases: Sequence[Case]) -> None:
    if any(map(wire.is_long, cases)):
        raise ValueError(f"only cases of up to {wire.LONGEST_MAP} bytes can be single-stepped")


def _patience(cases: Sequence[Case]) -> float:
    """Seconds after which a child is given up, were every case to use up its own limit."""
    return min(_HOUR, 30 + sum(0.5 + case.len * _SECONDS_PER_LONG_BYTE for case in cases))


def _stuck(cases: Sequence[Case]) -> float:
    """Seconds of the CPU that none of the cases can take, its buffers laid out and looked at included."""
    longest = max((max(case.len, case.src.at, case.dst.at) for case in cases), default=0)
    return _STUCK + 3 * longest * _SECONDS_PER_LONG_BYTE
