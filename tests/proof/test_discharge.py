"""Every goal is asked, none is proved that was not, and what is not proved says why."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
import z3

from mcverify.arch.known import X86_64
from mcverify.contract import FaultModel, load_contract
from mcverify.logic.assumptions import Assumptions
from mcverify.logic.normal import Normalizer
from mcverify.logic.solver import Answer, Reply
from mcverify.machine.instruction import Kind
from mcverify.machine.state import Registers, State
from mcverify.machine.terms import free_symbols, word
from mcverify.paths.explore import Options
from mcverify.paths.segment import AccessPoint, Ending, Location, Paths, Segment, StrayStack, Transfer
from mcverify.proof import discharge
from mcverify.proof.answers import Question
from mcverify.proof.discharge import Discharger, Finding
from mcverify.proof.exits import EVERYWHERE, SUCCESS
from mcverify.proof.obligations import Goal
from mcverify.proof.result import Row
from mcverify.proof.termination import Termination

HOME = Location(0x1000, False, 0)
OTHER = Location(0x2000, False, 0)
IMAGE: Any = SimpleNamespace(
    architecture=X86_64,
    where=lambda address: f"a.S:{address}",
    label_at=lambda _: "",
    entry_at=lambda _: None,
)
OPTIONS = Options.of(load_contract("bytes_left"), "loads", "ordered")
REPLIES = (Answer.FAILED, Answer.TIMEOUT, Answer.UNCONFIRMED)


def _model(failing: str, others: set[str]) -> z3.ModelRef:
    """One in which one of the goals fails, and the others hold."""
    solver = z3.Solver()
    solver.add(z3.Not(z3.Bool(failing)), *map(z3.Bool, others))
    assert solver.check() == z3.sat
    return solver.model()


@dataclass
class Oracle:
    """A standpoint that knows by a table what can be proved: symbols, each a goal, and ways that are
    impossible, by the address of their end; `with_bad_bytes` those that need what is known of bad bytes."""

    provable: set[str]
    with_bad_bytes: set[str]
    otherwise: Answer
    asked: Counter[tuple[str, bool, bool]] = field(default_factory=Counter)
    questions: list[z3.BoolRef] = field(default_factory=list)

    def here(self, term: z3.ExprRef) -> z3.ExprRef:
        return term

    def with_ghost(self, segment: Segment, term: z3.ExprRef) -> z3.ExprRef:
        return term

    def ask(self, goal: z3.BoolRef, conditions: Sequence[z3.BoolRef] = (), *, briefly: bool = False) -> Reply:
        (condition,) = conditions
        return self._reply(goal, str(condition), bad_bytes=False, briefly=briefly)

    def ask_at_end(
        self, segment: Segment, goal: z3.BoolRef, *, bad_bytes: bool = False, briefly: bool = False
    ) -> Reply:
        return self._reply(goal, f"way {segment.at}", bad_bytes=bad_bytes, briefly=briefly)

    def _reply(self, goal: z3.BoolRef, way: str, *, bad_bytes: bool, briefly: bool) -> Reply:
        self.questions.append(goal)
        named = {str(symbol) for symbol in free_symbols(goal)}
        needed = {way} if z3.is_false(z3.simplify(goal)) else named
        for name in needed:
            self.asked[name, bad_bytes, briefly] += 1
        missing = needed - self.provable - (self.with_bad_bytes if bad_bytes else set())
        if not missing:
            return Reply(Answer.PROVED, 4.0)
        model = _model(min(missing), named - {min(missing)}) if self.otherwise is Answer.FAILED else None
        return Reply(self.otherwise, 4.0, model, Normalizer({}))


def way(number: int, target: Ending | Location, reason: str = "") -> Segment:
    end = State(Registers({}), {})
    return Segment(HOME, target, number, (), (), (), (), end, (), reason=reason)


def findings(
    monkeypatch: pytest.MonkeyPatch,
    oracle: Oracle,
    segments: Sequence[Segment],
    goals: dict[int, list[Goal]],
    accesses: Sequence[AccessPoint] = (),
    strays: Sequence[StrayStack] = (),
    endless: Sequence[Location] = (),
    obligations: Sequence[str] = ("O7", "O8", "O9"),
    fault_model: FaultModel = "persistent",
    only: frozenset[Question] | None = None,
    refuted: Collection[Row] = (),
    failed: Collection[Row] = (),
) -> list[Finding]:
    contract = replace(load_contract("bytes_left"), obligations=tuple(obligations)).under(fault_model)
    assumptions = Assumptions(contract, 1 << 20, 64, persistent=False)
    paths = Paths(HOME, (HOME,), tuple(segments), tuple(accesses), tuple(strays), {}, {})
    monkeypatch.setattr(discharge, "exit_goals", lambda segment, *_: iter(goals[segment.at]))
    monkeypatch.setattr(discharge, "access_goal", lambda point, _: z3.Bool(f"access {point.transfer.at}"))
    monkeypatch.setattr(discharge, "termination", lambda *_: Termination((), tuple(endless)))
    at: Any = lambda _: oracle  # noqa: E731
    asked = Discharger(IMAGE, paths, assumptions, OPTIONS, at, lambda _: None, only, refuted, failed)
    return list(asked.findings())


def access(number: int, condition: z3.BoolRef, source: Location = HOME) -> AccessPoint:
    return AccessPoint(source, (condition,), Transfer(Kind.LOAD, number, word(0), 1))


def told(found: Sequence[Finding]) -> Counter[tuple[str, str, bool, bool]]:
    return Counter((f.id, f.exit, f.proved, f.by_address) for f in found)


class Drawn:
    """A routine drawn at random, and what is to be found of it."""

    def __init__(self, seed: int) -> None:
        self.choose = random.Random(seed)
        self.oracle = Oracle(set(), set(), self.choose.choice(REPLIES))
        self.obligations = [name for name in ("O7", "O8", "O9") if self.choose.random() < 0.7]
        self.expected: Counter[tuple[str, str, bool, bool]] = Counter()
        self.segments: list[Segment] = []
        self.given_up: set[str] = set()
        self.goals: dict[int, list[Goal]] = {}
        self.strays: list[StrayStack] = []
        self.accesses: list[AccessPoint] = []
        for number in range(self.choose.randint(0, 5)):
            self._draw_way(number)
        for number in range(self.choose.randint(0, 2)):
            self.strays.append(StrayStack(HOME, number, 8, (z3.Bool(f"stray {number}"),)))
            self._expect_everywhere("O7", self._fate(f"stray {number}") == "always")
        for group in range(self.choose.randint(0, 3)):
            self._draw_accesses(group)
        self.choose.shuffle(self.accesses)
        self.endless = [HOME] if self.choose.random() < 0.3 else []
        self._expect_everywhere("O9", not self.endless)

    def _fate(self, name: str) -> str:
        fate = self.choose.choice(("always", "always", "with", "never"))
        if fate != "never":
            (self.oracle.provable if fate == "always" else self.oracle.with_bad_bytes).add(name)
        return fate

    def _expect_everywhere(self, identifier: str, proved: bool) -> None:
        self.expected[identifier if identifier in self.obligations else "", EVERYWHERE, proved, False] += 1

    def _draw_way(self, number: int) -> None:
        target = self.choose.choice([Ending.RETURN, Ending.RETURN, *Ending, OTHER])
        self.segments.append(way(number, target))
        if target is Ending.RETURN:
            self.goals[number] = []
            for i in range(self.choose.randint(0, 4)):
                name, needs = f"goal {number} {i}", self.choose.random() < 0.4
                fate, identifier = self._fate(name), f"O{i + 2}"
                self.goals[number].append(Goal(identifier, z3.Bool(name), needs))
                if identifier in self.given_up:
                    continue
                proved = fate == "always" or (fate == "with" and needs)
                self.expected[identifier, SUCCESS, proved, needs] += 1
                if not proved and not needs:
                    self.given_up.add(identifier)
        elif isinstance(target, Ending):
            fate = self._fate(f"way {number}")
            uncovered = target in (Ending.UNCOVERED, Ending.TRAP)
            where = f"a.S:{number}" if uncovered else EVERYWHERE
            endless = "O9" if target is Ending.ENDLESS and "O9" in self.obligations else ""
            self.expected["O1" if uncovered else endless, where, fate != "never", fate != "always"] += 1

    def _draw_accesses(self, group: int) -> None:
        """Under one condition, from one location: asked together."""
        numbers = [10 * group + i for i in range(self.choose.randint(1, 3))]
        condition, source = z3.Bool(f"condition {group // 2}"), (HOME, OTHER)[group % 2]
        self.accesses += [access(number, condition, source) for number in numbers]
        fates = [self._fate(f"access {number}") == "always" for number in numbers]
        for proved in [True] if all(fates) else fates:
            self._expect_everywhere("O8", proved)


@pytest.mark.parametrize("seed", range(60))
def test_each_goal_is_proved_if_and_only_if_it_can_be(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    drawn = Drawn(seed)
    oracle = drawn.oracle
    found = findings(
        monkeypatch,
        oracle,
        drawn.segments,
        drawn.goals,
        drawn.accesses,
        drawn.strays,
        drawn.endless,
        drawn.obligations,
    )
    assert told(found) == drawn.expected
    for finding in found:
        assert finding.proved or finding.reason, finding
        assert finding.hint is None or not finding.proved
    for name in {name for name, _, _ in oracle.asked if name.startswith("goal")}:
        assert len({bad for asked, bad, _ in oracle.asked if asked == name}) == 1, (
            "with no more than it needs"
        )


def one(monkeypatch: pytest.MonkeyPatch, answer: Answer, **more: Any) -> Iterator[Finding]:
    oracle = Oracle(set(), set(), answer)
    given = {"segments": [], "goals": {}} | more
    return iter(findings(monkeypatch, oracle, **given))


def test_what_is_not_proved_says_why_and_where(monkeypatch: pytest.MonkeyPatch) -> None:
    goals = {1: [Goal("O3", z3.Bool("goal"))]}
    returns = {"segments": [way(1, Ending.RETURN)], "goals": goals}
    reasons = {next(one(monkeypatch, answer, **returns)).reason for answer in REPLIES}
    assert len(reasons) == len(REPLIES)
    assert next(one(monkeypatch, Answer.FAILED, **returns)).at == 1
    lost = next(one(monkeypatch, Answer.FAILED, segments=[way(7, Ending.LOST, "hlt is not known")]))
    assert (lost.reason, lost.at, lost.id) == ("a.S:7: hlt is not known", 7, "")
    oops = next(one(monkeypatch, Answer.FAILED, segments=[way(7, Ending.UNCOVERED)]))
    assert oops.reason == "a.S:7: an access that may fault has no exception-table entry"
    stray = StrayStack(HOME, 5, 8, (z3.Bool("stray"),))
    assert next(one(monkeypatch, Answer.FAILED, strays=[stray])).reason.startswith("a.S:5: reaches the stack")
    far = next(one(monkeypatch, Answer.TIMEOUT, accesses=[access(9, z3.Bool("c"))]))
    assert far.reason.startswith("a.S:9: the load may lie outside its buffer: Z3 did not")
    loop = next(one(monkeypatch, Answer.FAILED, endless=[HOME, OTHER]))
    assert (loop.proved, loop.reason) == (
        False,
        "no measure that falls was found for the loop at a.S:4096, a.S:8192",
    )
    assert next(one(monkeypatch, Answer.FAILED)).reason == ""


def test_what_every_proof_rests_on_is_said_where_the_contract_does_not_ask_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (found,) = one(monkeypatch, Answer.FAILED, endless=[HOME], obligations=["O3"])
    assert (found.id, found.proved) == ("", False)
    assert found.reason.startswith("O9, on which every proof here rests, is not proved: no measure")
    (found,) = one(monkeypatch, Answer.FAILED, obligations=["O3"])
    assert (found.id, found.proved, found.reason) == ("", True, "")


def test_a_hint_is_the_model_of_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    returns = {"segments": [way(1, Ending.RETURN)], "goals": {1: [Goal("O3", z3.Bool("goal"))]}}
    for given in (returns, {"segments": [way(1, Ending.TRAP)]}, {"accesses": [access(9, z3.Bool("c"))]}):
        failed = next(one(monkeypatch, Answer.FAILED, **given))
        assert failed.hint is not None
        assert failed.hint.reply.model is not None
        assert {"len", "src", "dst"} <= failed.hint.terms.keys()
        assert next(one(monkeypatch, Answer.TIMEOUT, **given)).hint is None
    oracle = Oracle(set(), set(), Answer.FAILED)
    failed = findings(monkeypatch, oracle, [way(1, Ending.RETURN)], {1: [Goal("O3", z3.Bool("goal"))]})[0]
    assert failed.hint is not None
    failed.hint.ask(z3.Bool("more"))
    solver = z3.Solver()
    solver.add(oracle.questions[-1] != z3.Implies(z3.Bool("more"), z3.Bool("goal")))
    assert solver.check() == z3.unsat, "a call in which the goal fails, and more holds"


def test_of_what_is_refuted_one_goal_that_fails_is_enough_and_must_be_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = "abcdef"
    goals = {n: [Goal("O3", z3.Bool(names[2 * n])), Goal("O4", z3.Bool(names[2 * n + 1]))] for n in range(3)}
    ways = [way(n, Ending.RETURN) for n in range(3)]
    broken = {("O3", SUCCESS)}

    def asked_and_found(provable: str, failed: Collection[Row] = ()) -> tuple[set[str], list[bool]]:
        oracle = Oracle(set(provable), set(), Answer.FAILED)
        found = findings(
            monkeypatch, oracle, ways, goals, fault_model="transient", refuted=broken, failed=failed
        )
        kept = [f.proved for f in found if f.id == "O3"]
        assert [f.proved for f in found if f.id == "O4"] == [name in provable for name in "bdf"]
        return {name for name, _, _ in oracle.asked}, kept

    # The first way keeps O3: the others are asked until one does not.
    assert asked_and_found("abdf") == (set("abcdf"), [True, False, False])
    # None fails: what the runs break is proved, and that shows.
    assert asked_and_found("abcdef") == (set(names), [True, True, True])
    # What failed under weaker assumptions is not asked again.
    assert asked_and_found("abdf", broken) == (set("bdf"), [False, False, False])


def test_seconds_are_those_of_the_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    goals = {1: [Goal("O2", z3.Bool("a")), Goal("O3", z3.Bool("b"))]}
    oracle = Oracle({"a", "b"}, set(), Answer.FAILED)
    first, second, _ = findings(monkeypatch, oracle, [way(1, Ending.RETURN)], goals)
    assert (first.seconds, second.seconds) == (2.0, 2.0)
    assert oracle.asked == {("a", False, True): 1, ("b", False, True): 1}
    alone = findings(monkeypatch, oracle, [way(1, Ending.RETURN)], {1: goals[1][:1]})[0]
    assert alone.seconds == 4.0
    oracle = Oracle({"a"}, set(), Answer.FAILED)
    first, second, _ = findings(monkeypatch, oracle, [way(1, Ending.RETURN)], goals, fault_model="transient")
    assert (first.seconds, second.seconds) == (4.0, 4.0)
    assert oracle.asked["b", False, False] == 1, "alone a goal has all the time that there is"
    oracle = Oracle({"a"}, set(), Answer.FAILED)
    findings(monkeypatch, oracle, [way(1, Ending.RETURN)], goals)
    assert oracle.asked["b", False, False] == 0, "it is asked again, where faults stay"


RETURN, OOPS = way(1, Ending.RETURN), way(2, Ending.UNCOVERED)


@pytest.mark.parametrize(
    ("fault_model", "proved"),
    [("persistent", {"O1", "O3", "O4"}), ("mixed", {"O3", "O4"}), ("transient", {"O3"})],
)
def test_what_may_rest_on_faults_that_stay(
    monkeypatch: pytest.MonkeyPatch, fault_model: FaultModel, proved: set[str]
) -> None:
    """With facts about bad addresses, only what the contract does not ask of faults that come and go."""
    goals = {1: [Goal("O3", z3.Bool("always")), Goal("O4", z3.Bool("with"), bad_bytes=True)]}
    oracle = Oracle({"always"}, {"with", "way 2"}, Answer.FAILED)
    found = findings(monkeypatch, oracle, [RETURN, OOPS], goals, fault_model=fault_model)
    assert {f.id for f in found if f.proved and f.id in ("O1", "O3", "O4")} == proved
    assert {f.id for f in found if f.proved and f.by_address} == proved - {"O3"}
    assert all(f.proved or f.reason for f in found)


def test_a_form_without_facts_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    goals = {1: [Goal("O5", z3.Bool("with"), bad_bytes=True, sooner=z3.Bool("sooner"))]}
    for provable, by_address in (({"sooner"}, False), (set(), True)):
        oracle = Oracle(set(provable), {"with"}, Answer.FAILED)
        (found,) = (f for f in findings(monkeypatch, oracle, [RETURN], goals) if f.id == "O5")
        assert (found.proved, found.by_address) == (True, by_address)


def test_only_what_is_asked_again_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    goals = {1: [Goal("O2", z3.Bool("a")), Goal("O3", z3.Bool("b"))]}
    oracle = Oracle({"a", "b"}, set(), Answer.FAILED)
    only = frozenset({("O3", "exit", 0)})
    (found,) = findings(monkeypatch, oracle, [RETURN, OOPS], goals, only=only)  # type: ignore[arg-type]
    assert (found.id, found.answers) == ("O3", (("O3", "exit", 0),))


@pytest.mark.parametrize("provable", [set(), {"claim"}, {"point"}, {"claim", "point"}])
@pytest.mark.parametrize("fault_model", ["persistent", "mixed", "transient"])
def test_of_two_goals_of_one_obligation_none_hides_the_other(
    monkeypatch: pytest.MonkeyPatch, provable: set[str], fault_model: FaultModel
) -> None:
    """O4 has one goal about the claim, and one about the first bad byte: each has its answer."""
    goals = {1: [Goal("O4", z3.Bool("claim")), Goal("O4", z3.Bool("point"), bad_bytes=True)]}
    oracle = Oracle(provable - {"point"}, provable & {"point"}, Answer.FAILED)
    found = findings(monkeypatch, oracle, [RETURN], goals, fault_model=fault_model)
    told_of = [f.proved for f in found if f.id == "O4"]
    right = {"claim" in provable, "point" in provable and fault_model != "transient"}
    assert len(told_of) == 2
    assert set(told_of) == right
