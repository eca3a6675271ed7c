"""A result in words: the verdict, its domain, the slack, what is wrong and where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mcverify.arch.known import X86_64
from mcverify.proof.result import (
    EVERYWHERE,
    SUCCESS,
    Domain,
    Exit,
    ObligationResult,
    RoutineResult,
    SecondOpinion,
    Verdict,
)
from mcverify.report.cause import causes
from mcverify.report.obligations import in_order, title, worst
from mcverify.report.words import short

NO_CONTRACT = "no contract"
_ENTRIES = 4


def counts(results: Iterable[RoutineResult]) -> str:
    """How many results there are of each verdict; those without a contract apart from what is unknown."""
    words = [said(result) for result in results]
    kinds = [*(str(v) for v in (Verdict.PROVED, Verdict.REFUTED, Verdict.UNKNOWN)), NO_CONTRACT]
    return ", ".join(f"{words.count(kind)} {kind}" for kind in kinds if kind in words)


def said(result: RoutineResult) -> str:
    """The verdict, or that there is no contract to be held against."""
    return NO_CONTRACT if result.contract is None else str(result.verdict)


def verdict_words(result: RoutineResult) -> str:
    """What the verdict is about, to stand behind it: the domain, or what is refuted; and which entries it
    says nothing of."""
    return "; ".join(
        [_verdict_words(result), *faults_words(result), *result.by_comment, *entries_left(result)]
    )


def faults_words(result: RoutineResult) -> list[str]:
    """What the verdict owes to faults that stay, or to such as come and go."""
    flickering = [c for c in result.counterexamples if c.case.flicker]
    if result.verdict is Verdict.REFUTED:
        all_of_them = len(flickering) == len(result.counterexamples)
        which = "" if all_of_them else f"{', '.join(in_order(o for c in flickering for o in c.obligations))} "
        return [f"{which}under transient faults"] if flickering else []
    if result.verdict is Verdict.PROVED and result.resting:
        return [f"{', '.join(result.resting)} only if a bad address stays bad"]
    return []


def entries_left(result: RoutineResult) -> list[str]:
    """The entries that no proved path takes; and accesses that are taken not to fault, although the contract
    lets them, as none of their kind has an entry."""
    words = []
    if result.unlooked:
        words.append(f"entries on {result.unstruck} not looked at: {result.unlooked}")
    elif result.unstruck and result.contract is not None and result.contract.faults == "both":
        words.append(f"{result.unstruck} taken not to fault: none has an entry")
    if result.untaken:
        shown = ", ".join(short(place) for place in result.untaken[:_ENTRIES])
        more = len(result.untaken) - _ENTRIES
        noun = "entry" if len(result.untaken) == 1 else "entries"
        words.append(f"{noun} that no path takes: {shown}{f' and {more} more' if more > 0 else ''}")
    return words


def _verdict_words(result: RoutineResult) -> str:
    match result.verdict:
        case Verdict.PROVED:
            return f"for {_lengths(result.domain)}, every alignment, every fault point"
        case Verdict.REFUTED:
            return _listed(_by_mistake(result))
        case Verdict.UNKNOWN:
            return "neither proved nor refuted"


def narrowed(result: RoutineResult) -> list[str]:
    """What an option or a comment leaves out of what the contract asks: longer calls, faults; and macros and
    headers that may choose other code."""
    contract, domain = result.contract, result.domain
    if contract is None:
        return []
    wider = result.faults == "both" or result.faults.startswith(contract.faults)
    left_out = not wider or contract.traps != "both"
    words = [a for a in result.assumptions if " may fault" in a] if left_out else []
    if contract.size is None and domain.len_max < X86_64.limits.max_rw_count:
        words.insert(0, f"len <= {size(domain.len_max)}")
    words += [*faults_words(result), *entries_left(result)]
    return [*result.by_comment, *words] + [a for a in result.assumptions if a.startswith("assembled with ")]


def breaks_words(domain: Domain) -> str:
    """The length beyond the domain that breaks the contract, "" where none was seen."""
    if domain.breaks_at is None:
        return ""
    return f"breaks at len {size(domain.breaks_at)}: {domain.breaks_how}"


def second_words(second: SecondOpinion) -> str:
    """What the second solver said of the questions that Z3 answered."""
    asked = second.agreed + second.undecided
    noun = "answer" if asked == 1 else "answers"
    open_ = f", {second.undecided} undecided" if second.undecided else ""
    return f"{second.solver} confirms {second.agreed} of {asked} {noun} of Z3{open_} ({second.seconds:.1f} s)"


def slack_words(slack: int) -> str:
    """How many good bytes before the bad one may be left uncopied."""
    if slack == 0:
        return "none: every good byte before the bad one is copied"
    noun = "byte" if slack == 1 else "bytes"
    return f"at most {slack} good {noun} before the bad one left uncopied"


def time_words(result: RoutineResult) -> str:
    """The seconds in all, and by phase."""
    phases = ", ".join(f"{name} {seconds:.1f}" for name, seconds in result.phases.items())
    return f"{result.seconds:.1f} s" + (f" ({phases})" if phases else "")


def columns(result: RoutineResult) -> list[str]:
    """The obligations that are asked at the exits of the table."""
    exits = {row.id for row in result.exits}
    return in_order(o.id for o in result.obligations if o.exit in exits)


def everywhere(result: RoutineResult) -> list[tuple[str, Verdict]]:
    """The obligations that belong to no exit of the table, by title, each with its worst verdict."""
    exits = {row.id for row in result.exits}
    outside = [o for o in result.obligations if o.exit not in exits]
    named = []
    for identifier in in_order(o.id for o in outside):
        verdict = worst(o for o in outside if o.id == identifier)
        assert verdict is not None
        named.append(("O9 termination" if identifier == "O9" else title(identifier), verdict))
    return named


def goes_on(row: Exit, result: RoutineResult) -> bool:
    """Whether the fixup leads back into the routine, which then returns by another exit."""
    return not row.count and row.id != SUCCESS and all(o.exit != row.id for o in result.obligations)


def verdict_at(result: RoutineResult, identifier: str, row: Exit) -> Verdict | None:
    """The worst verdict on an obligation at an exit, None where it was not asked."""
    return worst(o for o in result.obligations if (o.id, o.exit) == (identifier, row.id))


def wrong(result: RoutineResult, verdict: Verdict | None = None) -> list[ObligationResult]:
    """The obligations that are not proved, refuted ones first; or those with `verdict` only.

    One that is refuted both everywhere and at a place is named with the place only.
    """
    wanted = [Verdict.REFUTED, Verdict.UNKNOWN] if verdict is None else [verdict]
    placed = {o.id for o in result.obligations if o.verdict is Verdict.REFUTED and o.exit != EVERYWHERE}
    named = [o for o in result.obligations if o.exit != EVERYWHERE or o.id not in placed]
    return [o for v in wanted for o in named if o.verdict is v]


def reasons(result: RoutineResult) -> list[str]:
    """Why obligations are neither proved nor refuted."""
    return [f"{at(o)}: {o.reason}" for o in wrong(result, Verdict.UNKNOWN) if o.reason]


def refuted_by_others(result: RoutineResult) -> list[str]:
    """What is refuted by other runs than those that are told: of the same origin, and less simple."""
    shown = {(o, c.exit) for c in result.counterexamples for o in c.obligations}
    refuted = (o for o in wrong(result, Verdict.REFUTED) if o.reason and (o.id, o.exit) not in shown)
    return [f"{at(o)}: {o.reason}" for o in refuted]


def at(obligation: ObligationResult) -> str:
    """`O3 at .Lfix_w`."""
    if obligation.exit == EVERYWHERE:
        return obligation.id
    return f"{obligation.id} at {exit_name(obligation.exit)}"


def exit_name(identifier: str) -> str:
    """An exit's id as a reader says it: that of a fixup without a label is a place."""
    return {SUCCESS: "the success exit", EVERYWHERE: "any exit"}.get(identifier, short(identifier))


def size(value: int) -> str:
    """A length: decimal below 64 KiB, hexadecimal above."""
    return str(value) if value < 1 << 16 else f"{value:#x}"


def _lengths(domain: Domain) -> str:
    if domain.len_min == domain.len_max:
        return f"the one length {size(domain.len_min)}"
    return f"every length from {size(domain.len_min)} to {size(domain.len_max)}"


def _by_mistake(result: RoutineResult) -> list[str]:
    """What is refuted, one obligation of one mistake as one, with its first place."""
    found = causes(result)
    groups: dict[object, list[ObligationResult]] = {}
    for o in wrong(result, Verdict.REFUTED):
        mistakes = (
            n for n, c in enumerate(found) if any(o.id in r.obligations and o.exit == r.exit for r in c.runs)
        )
        mistake = next(mistakes, None)
        groups.setdefault((o.id, mistake) if mistake is not None else id(o), []).append(o)
    return [at(first) + _more(len(others)) for first, *others in groups.values()]


def _more(places: int) -> str:
    return f" (and {places} more {'place' if places == 1 else 'places'})" if places else ""


def _listed(words: Sequence[str], limit: int = 4) -> str:
    more = len(words) - limit
    return ", ".join(words[:limit]) + (f" and {more} more" if more > 0 else "")
