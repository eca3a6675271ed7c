"""A prediction held against what a run did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mcverify.arch.known import X86_64
from mcverify.proof.result import EVERYWHERE
from mcverify.runs.case import Ending, Fault, Outcome, Run

_MOST_RUNS = 4096
"""Of a long buffer no more runs of bytes are listed (MAX_RUNS in harness.c)."""

_WORD = 1 << 64


@dataclass(frozen=True, slots=True)
class Predicted:
    """What the model says of a run, as far as it knows.

    `registers` are general ones and single flags. `written`, `correct` and `base` mean the same as in an
    `Outcome`, of the bytes that are marked in `sure`; where dst is too long for a map, `stored` and `wrong`
    stand in their place and are about `extent` bytes. `left_at` is the address at which the run left the
    code, if the model says that, or to which an endless run comes back. `unfenced` and `strays` tell what no
    state shows: a non-temporal store without a fence behind it, an access outside the buffers. `exit` is the
    exit of the proof at which the run ends. A prediction that `rests_on_itself` holds only as far as the
    routine, called again for single bytes, copies these as is assumed of it.
    """

    ending: Ending
    left_at: int | None
    registers: Mapping[str, int]
    faults: tuple[Fault, ...]
    written: bytes
    correct: bytes
    sure: bytes
    base: int
    stored: tuple[Run, ...] | None = None
    wrong: tuple[Run, ...] | None = None
    extent: int = 0
    frame_intact: bool | None = True
    unfenced: bool = False
    strays: bool = False
    exit: str = EVERYWHERE
    rests_on_itself: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing on which a run and its prediction do not agree."""

    what: str
    executed: str
    predicted: str


def differences(predicted: Predicted, outcome: Outcome, bias: int) -> list[Difference]:
    """All of them, the most telling first. `bias` is how far below its address the image lay in the run."""
    found = [*_ending(predicted, outcome), *_faults(predicted, outcome)]
    if not found:
        found += _registers(predicted, outcome, bias)
    return found + list(_memory(predicted, outcome))


def registers_compared(predicted: Predicted, outcome: Outcome) -> list[str]:
    """Names of the registers and flags that both know."""
    if predicted.ending is Ending.TIMEOUT:
        return []
    # A return to an address that is none is refused before it pops.
    left_out = {X86_64.stack_pointer} if _is_refused_return(predicted, outcome) else set()
    return [name for name in predicted.registers if name not in left_out]


def bytes_compared(predicted: Predicted) -> int:
    """How many bytes of dst and its red zones both know."""
    return sum(predicted.sure) if predicted.stored is None else predicted.extent


def _ending(predicted: Predicted, outcome: Outcome) -> Iterator[Difference]:
    if predicted.ending is not outcome.ending:
        yield Difference("the way it ended", outcome.ending.value, predicted.ending.value)
    elif not _left_at_the_same(predicted, outcome):
        yield Difference("the address at which it ended", f"{outcome.rip:#x}", f"{predicted.left_at:#x}")
    if predicted.ending is Ending.RETURNED and predicted.frame_intact not in (None, outcome.frame_intact):
        words = {True: "intact", False: "overwritten"}
        yield Difference(
            "the caller's frame", words[outcome.frame_intact], words[bool(predicted.frame_intact)]
        )


def _left_at_the_same(predicted: Predicted, outcome: Outcome) -> bool:
    told = predicted.left_at is not None and predicted.ending is not Ending.TIMEOUT
    return not told or predicted.left_at == outcome.rip or _is_refused_return(predicted, outcome)


def _is_refused_return(predicted: Predicted, outcome: Outcome) -> bool:
    """Whether the run ended at a return whose target cannot be fetched."""
    return predicted.ending is Ending.WILD is outcome.ending and outcome.rip != predicted.left_at


def _faults(predicted: Predicted, outcome: Outcome) -> Iterator[Difference]:
    for number, (done, said) in enumerate(zip(outcome.faults, predicted.faults, strict=False), 1):
        if done != said:
            yield Difference(f"fault {number}", _fault(done), _fault(said))
    if len(outcome.faults) != len(predicted.faults) and predicted.ending is not Ending.TIMEOUT:
        yield Difference("the number of faults", str(len(outcome.faults)), str(len(predicted.faults)))


def _fault(fault: Fault) -> str:
    kind = "store" if fault.is_store else "load"
    place = f"{fault.buffer}{fault.offset:+d}" if fault.buffer else f"{fault.offset:#x}"
    return f"the {kind} at {fault.insn:#x} of {place}"


def _registers(predicted: Predicted, outcome: Outcome, bias: int) -> Iterator[Difference]:
    for name in registers_compared(predicted, outcome):
        said, done = predicted.registers[name], _register(outcome, name)
        if said != done and not (bias and (said - done) % _WORD == bias):
            yield Difference(name, f"{done:#x}", f"{said:#x}")


def _register(outcome: Outcome, name: str) -> int:
    """The value of a register or a single flag after the run."""
    if name in X86_64.general:
        return outcome.registers[name]
    if name == "ac":
        return int(outcome.ac)
    return outcome.registers["rflags"] >> {**X86_64.flags, **X86_64.control}[name] & 1


def _memory(predicted: Predicted, outcome: Outcome) -> Iterator[Difference]:
    if predicted.stored is not None and predicted.wrong is not None:
        yield from _runs("the bytes of dst that changed", outcome.stored or (), predicted.stored)
        yield from _runs("the wrong bytes of dst", outcome.wrong or (), predicted.wrong)
        return
    maps = (
        ("changed", outcome.written, predicted.written),
        ("is what it should be", outcome.correct, predicted.correct),
    )
    for what, done, said in maps:
        if (outcome.base, len(done)) != (predicted.base, len(said)):
            yield Difference(
                "the extent of dst", f"{outcome.base}, {len(done)}", f"{predicted.base}, {len(said)}"
            )
            return
        wrong = [i for i, sure in enumerate(predicted.sure) if sure and done[i] != said[i]]
        if wrong:
            i = wrong[0]
            yes = {0: "no", 1: "yes"}
            yield Difference(f"whether byte {i + predicted.base} of dst {what}", yes[done[i]], yes[said[i]])


def _runs(what: str, done: tuple[Run, ...], said: tuple[Run, ...]) -> Iterator[Difference]:
    said = said[:_MOST_RUNS]
    if done != said:
        a, b = next(((a, b) for a, b in zip(done, said, strict=False) if a != b), (len(done), len(said)))
        yield Difference(what, str(a), str(b))
