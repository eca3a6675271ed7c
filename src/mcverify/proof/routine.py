"""The proof of one routine, from its paths to its result."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial

import z3

from mcverify.contract import Contract, faults_in_words
from mcverify.deadline import Deadline, OutOfMemory, OutOfTime
from mcverify.errors import InputError
from mcverify.image.callees import callees, calls_of
from mcverify.image.image import Image
from mcverify.image.jump_tables import slots
from mcverify.invariants.guess import guesses
from mcverify.invariants.houdini import Houdini
from mcverify.logic.assumptions import USER_END, Assumptions
from mcverify.logic.count import left_of
from mcverify.logic.second import SecondSolver
from mcverify.logic.solver import Answer, Solver
from mcverify.machine.compared import not_compared
from mcverify.machine.instruction import Kind
from mcverify.machine.lifter import lifter_of
from mcverify.machine.rep import closed_form_claims
from mcverify.machine.symbols import data_of
from mcverify.machine.terms import symbols_of, word
from mcverify.paths.explore import Explorer, Options, TooManyPaths, may_strike
from mcverify.paths.faults import FIRST_BAD
from mcverify.paths.segment import Ending, Paths, Segment
from mcverify.proof.answers import Question, questions, require_answers
from mcverify.proof.claims import held
from mcverify.proof.describe import exits
from mcverify.proof.discharge import Discharger, Finding
from mcverify.proof.exits import AFTER_FAULT, EVERYWHERE, OF_NO_EXIT, SUCCESS
from mcverify.proof.options import ProveOptions
from mcverify.proof.recursion import without_doubted
from mcverify.proof.result import (
    Domain,
    Exit,
    ObligationResult,
    Record,
    RoutineResult,
    Row,
    SecondOpinion,
    Verdict,
)
from mcverify.proof.samples import NothingSeen, sampled
from mcverify.proof.search import Witnesses, probes, quick_cases
from mcverify.proof.select import Task, not_struck
from mcverify.proof.values import valued_cases
from mcverify.runs.case import Case, Visit
from mcverify.runs.cases import sample_cases
from mcverify.runs.code import effects
from mcverify.runs.operands import directions
from mcverify.scopes import needs_transient

Progress = Callable[[str], None]
_MAY_FAULT = {
    "both": " may fault",
    "pf": " may fault, by page faults alone",
    "mc": " may fault, by machine checks alone",
}
_QUERY_SECONDS = 20.0
_ONLY_IF_FAULTS_STAY = "it holds only if a bad address stays bad"
_NO_REASON = "it was not proved"
_SLACKS = (0, 7, 15, 31, 63, 127, 255, 511)


@dataclass(frozen=True)
class _Attempt:
    """The invariants of an attempt, and who asked the goals with them."""

    houdini: Houdini
    discharger: Discharger


class RoutineProof:
    """One routine on its way to a verdict."""

    def __init__(
        self,
        image: Image,
        task: Task,
        options: ProveOptions,
        deadline: Deadline,
        progress: Progress,
        witnesses: Witnesses,
        phases: dict[str, float],
    ) -> None:
        assert task.contract is not None
        self._image = image
        self._task = task
        self._contract: Contract = task.contract
        # A size that the contract fixes leaves no other length to look at.
        size = task.contract.size
        self._options = options if size is None else replace(options, len_max=size)
        self._deadline = deadline
        self._progress: Progress = lambda text: progress(f"{task.name}: {text}")
        self._witnesses = witnesses
        self._phases = defaultdict(float, phases)
        self._second = None if options.second_solver is None else SecondSolver(options.second_solver)
        self._solver = Solver(_QUERY_SECONDS, deadline, self._second)
        self._lifter = lifter_of(image)
        self._findings: list[Finding] = []
        self._unknowns: list[str] = []
        self._exits: tuple[Exit, ...] = ()
        self._paths: Paths | None = None
        self._free: _Attempt | None = None
        self._staying: _Attempt | None = None
        self._slack: int | None = None
        # Facts about bad bytes, the last ones, with which a bound of the slack is asked; 0 for all. The very
        # last, that the access which faulted reaches a bad byte, mostly suffices; what did is tried first.
        self._facts_for_slack = [1, 0]
        self._persistent = False
        self._beyond: Callable[[], tuple[int, str] | None] = lambda: None

    # -- the walk -------------------------------------------------------------------------------

    def result(
        self, search: Callable[[], None], beyond: Callable[[], tuple[int, str] | None]
    ) -> RoutineResult:
        """The verdict. `search` waits for the search for counterexamples that was begun before, `beyond` for
        the one for a length beyond the domain that breaks the contract."""
        start = time.monotonic()
        self._beyond = beyond
        try:
            self._prove(search)
        except OutOfTime as late:
            self._unknowns.append(str(late))
        except (TooManyPaths, NothingSeen) as why:
            self._unknowns.append(str(why))
        except z3.Z3Exception as failed:
            if "out of memory" not in str(failed):
                raise
            self._unknowns.append(str(OutOfMemory("proof")))
        with suppress(OutOfTime):
            search()  # what it found counts, however the proof ended
        return self._verdict(
            time.monotonic() - start + sum(self._phases[p] for p in ("assemble", "load angr"))
        )

    def _prove(self, search: Callable[[], None]) -> None:
        explorer = self._explorer()
        with self._phase("paths"):
            paths = self._paths = explorer.explore()
            self._exits = exits(self._image, paths, self._contract, explorer)
        self._phases["lift"] += self._lifter.seconds
        self._phases["paths"] -= self._lifter.seconds
        with self._phase("runs"):
            self._progress("runs: searching for a counterexample")
            search()
            cases, visits = sampled(
                paths, self._contract, self._task.faults, self._witnesses.runner, self._options.len_max
            )
        houdini = self._attempts(paths, cases, visits)
        self._require_answers(paths)
        with self._phase("proof"):
            own = calls_of(self._image, self._task.entry)
            self._findings = without_doubted(
                self._findings, paths, own, partial(self._of_one_byte, paths, houdini)
            )
        if self._options.is_thorough:
            self._look_for_witnesses()
        with self._phase("proof"):
            self._check_rep(paths)
        if self._options.is_thorough and not self._open_findings() and not self._witnesses.found:
            with self._phase("slack"), suppress(OutOfTime):
                self._bound_slack(paths, houdini)

    def _require_answers(self, paths: Paths) -> None:
        """Raise Unanswered where an obligation has no answer: what nobody asks is not proved."""
        options = self._path_options()
        answered = (question for finding in self._findings for question in finding.answers)
        may_fault = partial(may_strike, options, self._image)
        require_answers(self._task.name, paths, self._contract, may_fault, answered)

    def _explorer(self) -> Explorer:
        return Explorer(
            image=self._image,
            entry=self._task.entry,
            contract=self._contract,
            options=self._path_options(),
            deadline=self._deadline,
            progress=self._progress,
            lifter=self._lifter,
        )

    def _path_options(self) -> Options:
        return Options.of(self._contract, self._task.faults, self._options.rep_model)

    def _attempts(self, paths: Paths, cases: Sequence[Case], visits: Sequence[Visit]) -> Houdini:
        """Ask everything with each access faulting or not by itself; then, if a bad address stays bad, what
        was not proved so. What the contract asks of faults that come and go is proved by the first alone."""
        self._free = self._attempt(paths, cases, visits, persistent=False)
        free = self._findings
        settled = {question for f in free if not self._is_open(f) for question in f.answers}
        settled -= {question for f in free if self._is_open(f) for question in f.answers}
        rest = frozenset(questions(paths, self._contract)) - settled
        if not rest:
            return self._free.houdini
        kept = [f for f in free if not rest.intersection(f.answers)]
        failed = frozenset((f.id, f.exit) for f in kept if not f.proved)
        self._staying = self._attempt(paths, cases, visits, persistent=True, only=rest, failed=failed)
        self._findings = [*kept, *(self._allowed(f, free) for f in self._findings)]
        return self._staying.houdini

    def _allowed(self, finding: Finding, free: Sequence[Finding]) -> Finding:
        """What the second attempt found; where it proves what may not rest on faults that stay, this is not
        proved, and the first attempt says why."""
        question = finding.answers[0]
        if not finding.proved or not needs_transient(question[0], question[1], self._contract):
            return finding
        first = next((f for f in free if question in f.answers), finding)
        reason = f"{_ONLY_IF_FAULTS_STAY}{f': {first.reason}' if first.reason else ''}"
        return replace(finding, proved=False, reason=reason, at=first.at, hint=first.hint, by_address=True)

    def _attempt(
        self,
        paths: Paths,
        cases: Sequence[Case],
        visits: Sequence[Visit],
        *,
        persistent: bool,
        only: frozenset[Question] | None = None,
        failed: frozenset[Row] = frozenset(),
    ) -> _Attempt:
        """Find invariants and ask the goals of the questions in `only`, or every one, with faults that
        persist or without. In the rows `failed` a goal was not proved before."""
        self._persistent = persistent
        assumptions = self._assumptions(persistent)
        with self._phase("invariants"):
            guessed = guesses(
                paths, self._contract, cases, visits, self._options.len_max, persistent=persistent
            )
            houdini = Houdini(paths, guessed, assumptions, self._solver)
            houdini.run(self._progress)
        with self._phase("proof"):
            options = self._path_options()
            discharger = Discharger(
                self._image,
                paths,
                assumptions,
                options,
                houdini.standpoint,
                self._progress,
                only,
                self._witnesses.found,
                failed,
            )
            self._findings = []
            for finding in discharger.findings():
                self._findings.append(replace(finding, is_staying=persistent))
        return _Attempt(houdini, discharger)

    def _of_one_byte(self, paths: Paths, houdini: Houdini) -> Iterator[Finding]:
        """All that is asked, of calls with a length of at most 1."""
        short = replace(self._assumptions(self._persistent), len_max=1)
        at = houdini.under(short)
        return Discharger(self._image, paths, short, self._path_options(), at, self._progress).findings()

    def _assumptions(self, persistent: bool) -> Assumptions:
        granularity = self._image.architecture.granularity
        return Assumptions(self._contract, self._options.len_max, granularity, persistent)

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            self._phases[name] += time.monotonic() - start

    # -- what was not proved --------------------------------------------------------------------

    def _open_findings(self) -> list[Finding]:
        return [f for f in self._findings if self._is_open(f)]

    def _is_open(self, finding: Finding) -> bool:
        return not finding.proved and not self._is_refuted(finding)

    def _is_refuted(self, finding: Finding) -> bool:
        """Whether a run has broken this obligation at this exit; for those of no exit, anywhere."""
        found = self._witnesses.found
        exits_of_runs = {exit_id for identifier, exit_id in found if identifier == finding.id}
        if finding.exit == AFTER_FAULT:
            return bool(exits_of_runs - {SUCCESS})
        if finding.exit == EVERYWHERE and finding.id in OF_NO_EXIT:
            return bool(exits_of_runs)
        return (finding.id, finding.exit) in found

    def _look_for_witnesses(self) -> None:
        """Try to break on the CPU what could not be proved."""
        with self._phase("runs"):
            for search in self._searches():
                if not self._open_findings():
                    return
                self._deadline.check("runs")
                self._progress("runs: trying what could not be proved")
                search()

    def _searches(self) -> Iterator[Callable[[], None]]:
        """The ways to look for a run that breaks what is open, the cheapest first."""
        witnesses, contract, faults = self._witnesses, self._contract, self._task.faults
        len_max = self._options.len_max
        hinting = [f.hint for f in self._open_findings() if f.hint is not None]
        suggested = [c for hint in hinting for c in quick_cases(hint)]
        if any(self._needs_faults_to_stay(f) for f in self._open_findings()):
            yield lambda: witnesses.flickering(self._has_shown_what_needs_faults_to_stay)
        yield lambda: witnesses.try_cases(suggested)
        if any((f.id, f.exit) == ("O9", EVERYWHERE) for f in self._open_findings()):
            yield lambda: witnesses.endless(self._has_memory)
        yield lambda: witnesses.try_cases(probes(contract, faults, len_max))
        yield lambda: witnesses.try_cases(valued_cases(self._image, self._task.entry, contract, faults))
        still_open = {(f.id, f.exit) for f in self._open_findings()}
        identifiers = {identifier for identifier, _ in still_open}
        if "O8" in identifiers:
            yield lambda: witnesses.footprints(sample_cases(contract, faults, 70, count=140))
        if "O10" in identifiers:
            yield lambda: witnesses.unfenced(sample_cases(contract, faults, 150, count=60))
        if ("O9", EVERYWHERE) in still_open:
            yield lambda: witnesses.endless(self._has_memory)
        yield from (partial(self._try_long, key) for key in sorted(still_open))
        if self._contract.fault_model != "persistent":
            yield lambda: witnesses.flickering(lambda: not self._open_findings())

    def _has_shown_what_needs_faults_to_stay(self) -> bool:
        """Whether runs have broken all of that; a loop that might not end is shown by none."""
        return not any(
            self._needs_faults_to_stay(f) and f.id not in ("", "O9") for f in self._open_findings()
        )

    @staticmethod
    def _needs_faults_to_stay(finding: Finding) -> bool:
        """Whether what is open holds if a bad address stays bad: of runs only those break it in which pages
        come and go."""
        return not finding.proved and finding.by_address and _ONLY_IF_FAULTS_STAY in finding.reason

    def _try_long(self, key: tuple[str, str]) -> None:
        """Try the shortest call in which what is still open fails: where a counter ends, or a far fault."""
        hints = (f.hint for f in self._open_findings() if (f.id, f.exit) == key)
        hint = next((h for h in hints if h is not None), None)
        if hint is not None:
            self._witnesses.try_long(hint.shortest)

    def _has_memory(self, address: int) -> bool:
        """Whether the instruction keeps something where a trace does not show it: in memory, a vector
        register or a flag that it only passes on."""
        steps = self._lifter.instruction(address).steps
        stores = any(access.kind is Kind.STORE for step in steps for access in step.accesses)
        used = {n for s in steps for t in (s.guard, *s.writes.values()) for n in (*symbols_of(t), *s.writes)}
        return stores or not used.isdisjoint(self._image.architecture.vectors)

    def _check_rep(self, paths: Paths) -> None:
        """Prove the closed form of every REP that was met, against the lifted iteration."""
        for address in sorted(paths.visited):
            instruction = self._lifter.instruction(address)
            if instruction.rep is None:
                continue
            for claim, term in closed_form_claims(instruction):
                if self._solver.ask_plainly(term).answer is not Answer.PROVED:
                    self._unknowns.append(f"{self._image.where(address)}: the model of REP differs: {claim}")

    # -- theorems beside the contract -------------------------------------------------------------

    def _bound_slack(self, paths: Paths, houdini: Houdini) -> None:
        """The least bound, of a few, on the good bytes before the bad one that an exit leaves uncopied."""
        faulting = [s for s in paths.segments if s.target is Ending.RETURN and s.faulted]
        if self._contract.left is None or not faulting:
            return
        cases = sample_cases(self._contract, self._task.faults, count=120)
        worst = self._witnesses.slack_seen([c for c in cases if c.len <= self._options.len_max])
        for segment in faulting:
            bound = self._least_bound(houdini, segment, worst)
            if bound is None:
                return
            worst = bound
        self._slack = worst

    def _least_bound(self, houdini: Houdini, segment: Segment, at_least: int) -> int | None:
        """The least of the bounds, from `at_least` on, that is proved of the exit of `segment`."""
        assumptions, options = self._assumptions(self._persistent), self._path_options()
        standpoint = houdini.standpoint(segment.source)
        count = left_of(self._contract, assumptions.length, segment)
        assert count is not None
        done = assumptions.length - count
        bad = [FIRST_BAD[kind] for kind, _ in assumptions.buffers if options.may_fault(kind)]
        for slack in (s for s in _SLACKS if s >= at_least):
            reaches = z3.Or([z3.ULE(b, done + word(slack)) for b in bad])
            for count in self._facts_for_slack:
                facts = segment.fault_facts[-count:]
                reply = standpoint.ask(reaches, segment.conditions, facts, bad_bytes=True)
                if reply.answer is Answer.PROVED:
                    self._facts_for_slack.sort(key=lambda n: n != count)
                    return slack
                if not count and reply.answer is Answer.FAILED:
                    break  # with fewer facts it does not hold either
        return None

    # -- the result -------------------------------------------------------------------------------

    def _verdict(self, seconds: float) -> RoutineResult:
        obligations = tuple(self._obligations())
        counterexamples = tuple(
            sorted(self._witnesses.found.values(), key=lambda c: (int(c.obligations[0][1:]), c.exit))
        )
        unknowns = (*self._unknowns, *dict.fromkeys(f.reason for f in self._open_findings() if not f.id))
        if counterexamples:
            verdict = Verdict.REFUTED
        elif unknowns or any(o.verdict is not Verdict.PROVED for o in obligations) or not obligations:
            verdict = Verdict.UNKNOWN
        else:
            verdict = Verdict.PROVED
        unstruck, unlooked = not_struck(self._task, self._image)
        at, how = (self._beyond() if verdict is Verdict.PROVED else None) or (None, "")
        return RoutineResult(
            name=self._task.name,
            file=str(self._image.path),
            contract=self._contract,
            verdict=verdict,
            domain=Domain(self._contract.size or 0, self._options.len_max, at, how),
            exits=self._exits,
            obligations=obligations,
            counterexamples=counterexamples,
            slack=self._slack,
            assumptions=tuple(self._sentences()),
            unknowns=unknowns,
            phases=dict(self._phases),
            seconds=seconds,
            faults=self._task.faults,
            entry=self._task.entry,
            sha256=self._image.sha256,
            unstruck=unstruck,
            unlooked=unlooked,
            untaken=self._untaken(),
            resting=self._resting(),
            held=held(self._findings, unknowns),
            second=self._second_opinion(),
            proof=self._record() if verdict is Verdict.PROVED and self._options.record else None,
        )

    def _untaken(self) -> tuple[str, ...]:
        """The entries for accesses that are reached and may fault, of which no path takes the fault. (Those
        for what accesses nothing in any variant are told by `proof.entries`.)"""
        if self._paths is None:
            return ()
        taken = {fault.access.at for segment in self._paths.segments for fault in segment.faults}
        options, found = self._path_options(), []
        for address in sorted(self._paths.visited - taken):
            if self._image.entry_at(address) is not None:
                kinds = directions(effects(self._image, address)) or ()
                if any(options.may_fault(Kind.STORE if is_store else Kind.LOAD) for is_store in kinds):
                    found.append(self._image.where(address))
        return tuple(found)

    def _second_opinion(self) -> SecondOpinion | None:
        second = self._second
        if second is None:
            return None
        return SecondOpinion(second.name, second.agreed, second.undecided, second.seconds)

    def _record(self) -> Record:
        """The proof, written down to be checked by others."""
        assert self._paths is not None
        assert self._free is not None
        from mcverify.bundle.gather import Gatherer

        self._progress("proof: writing it down")
        asked = {q for f in self._findings if f.proved and f.is_staying for q in f.answers if q[1] != "end"}
        resting = tuple(sorted({identifier if scope == "exit" else scope for identifier, scope, _ in asked}))
        unheld = "handlers that the contract speaks of ([fault])" if self._contract.handed else ""
        unheld = unheld or ("a string" if self._contract.string_length else "")
        if unheld:
            raise InputError(
                f"the proof of {self._task.name} is about {unheld}, which no bundle holds yet",
                where=str(self._image.path),
                hint="prove it without --proof, or name the others with --routine",
            )
        if any("%gs:" in self._lifter.instruction(address).text for address in self._visited()):
            raise InputError(
                f"the proof of {self._task.name} reads a per-CPU variable, which no bundle holds yet",
                where=str(self._image.path),
                hint="prove it without --proof, or name the others with --routine",
            )
        if any(
            f.fixup is not None and self._image.entry_at(f.access.at) is None
            for s in self._paths.segments
            for f in s.faults
        ):
            raise InputError(
                f"the proof of {self._task.name} is about a handler that is set, which no bundle holds yet",
                where=str(self._image.path),
                hint="prove it without --proof, or name the others with --routine",
            )
        if self._contract.is_exchange:
            raise InputError(
                f"the proof of {self._task.name} is about an exchange, which no bundle holds yet",
                where=str(self._image.path),
                hint="prove it without --proof, or name the others with --routine",
            )
        if any(slots(self._image, base) for base in self._data()):
            raise InputError(
                f"the proof of {self._task.name} goes by a jump table, which no bundle holds yet",
                where=str(self._image.path),
                hint="prove it without --proof, or name the others with --routine",
            )
        routine = Gatherer(
            image=self._image,
            task=self._task,
            paths=self._paths,
            houdini=self._free.houdini,
            assumptions=self._assumptions(persistent=False),
            falling=(
                self._staying if "loops" in resting and self._staying else self._free
            ).discharger.falling,
            rep_model=self._options.rep_model,
            notes=self._image.notes,
            slack=self._slack,
            staying=self._staying.houdini if self._staying else None,
            resting=resting,
        ).routine()
        return Record(routine, self._contract, self._image.object_code)

    def _data(self) -> Iterator[int]:
        """Addresses of data that the routine's code gives."""
        for address in self._visited():
            for step in self._lifter.instruction(address).steps:
                found = (data_of(symbols_of(term)) for term in step.writes.values())
                yield from (base for base in found if base is not None)

    def _obligations(self) -> Iterator[ObligationResult]:
        grouped: dict[tuple[str, str], list[Finding]] = defaultdict(list)
        for finding in self._findings:
            if finding.id:
                grouped[finding.id, finding.exit].append(finding)
        if "O1" in self._contract.obligations and self._findings:
            grouped.setdefault(("O1", EVERYWHERE), [])
        for key in self._witnesses.found:
            grouped.setdefault(key, [])
        for (identifier, exit_id), findings in sorted(grouped.items(), key=_by_exit(self._exits)):
            seconds = sum(f.seconds for f in findings)
            verdict, reason = self._judged(identifier, exit_id, findings)
            yield ObligationResult(identifier, exit_id, verdict, seconds, reason)

    def _judged(self, identifier: str, exit_id: str, findings: Iterable[Finding]) -> tuple[Verdict, str]:
        run = self._witnesses.found.get((identifier, exit_id))
        if run is None and exit_id == EVERYWHERE:
            run = next(
                (r for (i, _), r in self._witnesses.found.items() if i == identifier and i in OF_NO_EXIT),
                None,
            )
        if run is not None:
            return Verdict.REFUTED, run.sentence
        missing = next((f.reason or _NO_REASON for f in findings if not f.proved), "")
        missing = missing or self._unasked(exit_id)
        return (Verdict.UNKNOWN, missing) if missing else (Verdict.PROVED, "")

    def _unasked(self, exit_id: str) -> str:
        """Why an obligation that nothing speaks against may not be called proved: not all of it was asked."""
        if self._unknowns:
            return self._unknowns[0]
        lost = next((f.reason for f in self._findings if not f.id and not f.proved), "")
        return f"not every way was followed: {lost}" if lost and exit_id == EVERYWHERE else ""

    def _resting(self) -> tuple[str, ...]:
        """The obligations that were proved only for faults that stay."""
        proved = {f.id for f in self._findings if f.proved and f.by_address and f.id}
        return tuple(sorted(proved, key=lambda identifier: int(identifier[1:])))

    def _resting_on_addresses(self) -> list[str]:
        """What was proved with faults as a property of addresses."""
        unnamed = any(f.proved and f.by_address and not f.id for f in self._findings)
        ways = ["ways that must not be taken"] if unnamed else []
        slack = ["slack"] if self._slack is not None else []
        return [*self._resting(), *ways, *slack]

    def _about_buffers(self) -> Iterator[str]:
        """Where the buffers are taken to lie."""
        buffers = self._contract.buffers
        if buffers == "src and dst":
            yield f"{buffers} do not wrap around the address space, nor overlap each other or the stack frame"
        else:
            yield f"{buffers} does not wrap around the address space, nor overlap the stack frame"
        if self._contract.told == "address" and self._contract.status is None:
            yield f"{buffers} not at address 0, which says that no fault was taken"
        if self._contract.user:
            yield f"{buffers} lies in user memory, below {USER_END:#x}"

    def _sentences(self) -> Iterator[str]:
        """What the verdict rests on, as sentences."""
        size = self._contract.size
        yield f"len = {size}" if size is not None else f"0 <= len <= {self._options.len_max:#x}"
        yield from self._about_buffers()
        yield faults_in_words(self._task.faults) + _MAY_FAULT[self._contract.traps]
        needed = self._resting_on_addresses()
        if needed:
            size = self._image.architecture.granularity
            yield (
                f"a bad address stays bad, and bad regions begin and end on multiples of {size} bytes"
                f" (for {', '.join(needed)})"
            )
        for register, value in self._contract.given.items():
            yield f"{register} = {value} at entry"
        yield from self._paths.limits if self._paths is not None else ()
        assumed = self._paths.assumed if self._paths is not None else ()
        stand_ins = {s.name: s for s in callees(self._image).values()}
        yield from (stand_ins[name].summary(self._task.entry) for name in assumed)
        if any(self._lifter.instruction(a).rep for a in self._visited()):
            yield f"REP: {self._image.architecture.model('rep.toml')[self._options.rep_model]['summary']}"
        yield from self._constants()
        hints = {
            i.text.split()[0] for a in self._visited() if (i := self._lifter.instruction(a)).hint is not None
        }
        if hints:
            said = self._image.architecture.model("instructions.toml")["hints"]["summary"]
            yield f"{', '.join(sorted(hints))}: {said}"
        forms = not_compared(self._lifter.instruction(a).form for a in self._visited())
        if forms:
            yield f"what these instructions do was not compared with a CPU: {', '.join(forms)}"
        if self._task.by_era:
            yield self._task.by_era
        yield from self._image.notes

    def _constants(self) -> Iterator[str]:
        """The operands that the boot code writes."""
        for address in self._visited():
            instruction = self._lifter.instruction(address)
            end = address + instruction.size
            for written in self._image.alternatives_between(address, end):
                if (
                    written.constant
                    and self._image.bytes_at(written.site, written.length) == written.replacement
                ):
                    said = self._image.architecture.model("runtime.toml")[written.constant]["summary"]
                    value = int.from_bytes(written.replacement, "little")
                    where = self._image.where(address)
                    yield f"{where}: the boot code writes {written.constant} there, {said}: {value:#x}"

    def _visited(self) -> list[int]:
        """The addresses of the instructions that were understood, in order."""
        return sorted(self._paths.visited) if self._paths is not None else []


def _by_exit(rows: Sequence[Exit]) -> Callable[[tuple[tuple[str, str], list[Finding]]], tuple[int, str, int]]:
    order = {row.id: number for number, row in enumerate(rows)}

    def key(item: tuple[tuple[str, str], list[Finding]]) -> tuple[int, str, int]:
        (identifier, exit_id), _ = item
        return order.get(exit_id, len(order)), exit_id, int(identifier[1:])

    return key
