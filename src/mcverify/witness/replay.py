"""A witness run again: whether it still breaks its obligation, and whether it does what was recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from mcverify.contract import Contract
from mcverify.errors import InputError
from mcverify.proof.result import Counterexample, TraceStep
from mcverify.proof.trials import Failure
from mcverify.runs.case import Case, Outcome
from mcverify.runs.rep import Schedule
from mcverify.witness.compare import Difference, differences
from mcverify.witness.file import Witness
from mcverify.witness.rerun import CannotRunError, On, Rerun, rerun
from mcverify.witness.subject import Subject, file_of, refuse_outside, subject
from mcverify.witness.trace import trace
from mcverify.witness.walk import walk


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """How to replay. `on` None: where the run was recorded; `file` None: the file that was recorded;
    `steps`: step by step; `even_if_changed`: on other code than the recorded too; `trust_paths`: files and
    folders that the witness names are read wherever they lie."""

    on: On | None = None
    file: Path | None = None
    steps: bool = False
    even_if_changed: bool = False
    trust_paths: bool = False


@dataclass(frozen=True, slots=True)
class Replay:
    """A witness and what came of it.

    `found` is the counterexample with the outcome of now (None: the run could not be made, `problem` says
    why), `failures` what it breaks now, `differences` in what the outcome differs from the recorded one,
    `steps` the run step by step, if that was asked for (empty: it is too long to be followed).
    """

    witness: Witness
    subject: Subject
    on: On
    found: Counterexample | None = None
    failures: tuple[Failure, ...] = ()
    differences: tuple[Difference, ...] = ()
    steps: tuple[TraceStep, ...] | None = None
    problem: str = ""

    @property
    def contract(self) -> Contract:
        """The contract that the run was judged by."""
        return self.subject.contract

    @property
    def breaks(self) -> bool:
        """Whether the run breaks any obligation."""
        return bool(self.failures)

    @property
    def as_recorded(self) -> bool:
        """Whether the run breaks one of the obligations that it was recorded for."""
        return any(f.obligation in self.witness.counterexample.obligations for f in self.failures)


def subject_of(witness: Witness, beside: Path, options: ReplayOptions) -> Subject:
    """The code to run the case of `witness` on; `beside` is the witness file.

    Raises InputError where the file is gone, or has changed and `options` do not allow for that.
    """
    if not options.trust_paths:
        refuse_outside(witness if options.file is None else replace(witness, file=str(beside)), beside)
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
    schedule = cast("Schedule", recorded.outcome.schedule) if recorded.outcome.schedule else None
    blank = Replay(witness, subject, on)
    try:
        ran = rerun(
            subject,
            recorded.case,
            on,
            schedule if on == "emulator" else None,
            accesses="O8" in recorded.obligations,
        )
    except CannotRunError as error:
        return replace(blank, problem=str(error))
    differing = differences(subject.contract, recorded.case, recorded.outcome, ran.outcome, subject.addresses)
    found = _as_of_now(recorded, ran, is_same=not subject.changes and not differing)
    steps = _steps(subject, recorded.case, ran.outcome) if options.steps else None
    return replace(
        blank,
        found=found if steps is None else replace(found, trace=steps),
        failures=ran.failures,
        differences=differing,
        steps=steps,
    )


def _steps(subject: Subject, case: Case, outcome: Outcome) -> tuple[TraceStep, ...]:
    """The run step by step; nothing where it is too long for that."""
    run = walk(subject.image, subject.entry, subject.contract, case, outcome)
    return trace(run) if run is not None else ()


def _as_of_now(recorded: Counterexample, ran: Rerun, *, is_same: bool) -> Counterexample:
    """The counterexample with what the run did now; what lies behind it only if nothing differs."""
    same = [f for f in ran.failures if f.obligation in recorded.obligations]
    shown = same or ran.failures
    found = replace(
        recorded,
        outcome=ran.outcome,
        obligations=tuple(dict.fromkeys(f.obligation for f in shown)) or recorded.obligations,
        sentence=shown[0].sentence if shown else "",
    )
    if is_same and same:
        return found
    return replace(found, others=0, relevance=(), trace=(), explanation=None, prediction=None)
