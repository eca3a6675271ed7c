"""A witness run again: whether it still breaks its obligation, and whether it does what was recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mcverify.contract import Contract
from mcverify.errors import InputError
from mcverify.proof.result import Counterexample, TraceStep
from mcverify.runs.judge import Violation
from mcverify.witness.compare import Difference, differences
from mcverify.witness.file import Witness
from mcverify.witness.rerun import CannotRunError, On, Rerun, Runner
from mcverify.witness.steps import trace_steps
from mcverify.witness.subject import Subject, file_of, subject


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """How to replay. `on` None: where the run was recorded; `file` None: the file that was recorded;
    `steps`: step by step; `even_if_changed`: on other code than the recorded too."""

    on: On | None = None
    file: Path | None = None
    steps: bool = False
    even_if_changed: bool = False


@dataclass(frozen=True, slots=True)
class Replay:
    """A witness and what came of it.

    `found` is the counterexample with the outcome of now (None: the run could not be made, `problem` says
    why), `violations` what it breaks now, `differences` in what the outcome differs from the recorded one.
    """

    witness: Witness
    subject: Subject
    on: On
    found: Counterexample | None = None
    violations: tuple[Violation, ...] = ()
    differences: tuple[Difference, ...] = ()
    steps: tuple[TraceStep, ...] = ()
    problem: str = ""

    @property
    def contract(self) -> Contract:
        """The contract that the run was judged by."""
        return self.subject.contract

    @property
    def breaks(self) -> bool:
        """Whether the run breaks any obligation."""
        return bool(self.violations)

    @property
    def as_recorded(self) -> bool:
        """Whether the run breaks one of the obligations that it was recorded for."""
        return any(v.obligation in self.witness.counterexample.obligations for v in self.violations)


def subject_of(witness: Witness, beside: Path, options: ReplayOptions) -> Subject:
    """The code to run the case of `witness` on; `beside` is the witness file.

    Raises InputError where the file is gone, or has changed and `options` do not allow for that.
    """
    path = options.file if options.file is not None else file_of(witness, beside)
    found = subject(witness, path)
    if found.changes and not options.even_if_changed:
        more = f" (and {len(found.changes) - 1} more)" if len(found.changes) > 1 else ""
        notes = "".join(f"; {note}" for note in found.notes)
        raise InputError(
            f"{witness.title} is not the one that was refuted: {found.changes[0]}{more}{notes}",
            where=str(path),
            hint="--even-if-changed runs the case on the code as it is now",
        )
    return found


def replay(
    witnesses: Sequence[Witness], beside: Path, options: ReplayOptions, progress: Callable[[str], None]
) -> list[Replay]:
    """What comes of each witness of the file `beside`, in order. Raises InputError as :func:`subject_of`."""
    subjects: dict[tuple[str, str], Subject] = {}
    for witness in witnesses:
        key = witness.file, witness.title
        if key not in subjects:
            progress(f"reading {witness.file}")
            subjects[key] = subject_of(witness, beside, options)
    progress("running")
    return [_replay(witness, subjects[witness.file, witness.title], options) for witness in witnesses]


def _replay(witness: Witness, subject: Subject, options: ReplayOptions) -> Replay:
    recorded = witness.counterexample
    on: On = options.on or ("emulator" if recorded.outcome.on == "emulator" else "cpu")
    blank = Replay(witness, subject, on)
    try:
        runner = Runner(subject, on, recorded.outcome.schedule if on == "emulator" else "")
        ran = runner.run(recorded.case, accesses="O8" in recorded.obligations)
        steps = trace_steps(subject, runner.steps(recorded.case), ran.outcome) if options.steps else ()
    except CannotRunError as error:
        return replace(blank, problem=str(error))
    differing = differences(subject.contract, recorded.case, recorded.outcome, ran.outcome, subject.addresses)
    found = _as_of_now(recorded, ran, is_same=not subject.changes and not differing)
    return replace(
        blank,
        found=replace(found, trace=steps) if options.steps else found,
        violations=ran.violations,
        differences=differing,
        steps=steps,
    )


def _as_of_now(recorded: Counterexample, ran: Rerun, *, is_same: bool) -> Counterexample:
    """The counterexample with what the run did now; what lies behind it only if nothing differs."""
    same = [v for v in ran.violations if v.obligation in recorded.obligations]
    shown = same or ran.violations
    found = replace(
        recorded,
        outcome=ran.outcome,
        obligations=tuple(dict.fromkeys(v.obligation for v in shown)) or recorded.obligations,
        sentence=shown[0].sentence if shown else "",
    )
    if is_same and same:
        return found
    return replace(found, others=0, relevance=(), trace=(), explanation=None, prediction=None)
