"""Bundles of wrong routines, and changes to bundles: what someone does who wants `check` to say yes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest

from mcverify.bundle.write import proved_of, write_bundles
from mcverify.check import check
from mcverify.check.bundle import Bundle, read_bundle
from mcverify.check.manifest import decoded
from mcverify.check.question import Asked, Question, asked_of
from mcverify.check.solvers import Said, ask
from mcverify.check.statement import Inconsistent, obligations
from mcverify.check.variants import variant_image
from mcverify.errors import InputError
from mcverify.image.load import load
from mcverify.proof.options import ProveOptions
from mcverify.proof.prove import prove_file
from mcverify.proof.result import RoutineResult, Verdict
from mcverify.proof.routine import RoutineProof
from mcverify.scopes import Unanswered

Change = Callable[[Any], object]
"""What is done to the manifest, as JSON has it, or to the record of its one routine."""


def forced(path: Path, folder: Path, **options: Any) -> Path:
    """A bundle of the routines of a source, whatever their verdict: of a wrong one with the obligations that
    do not hold among the others."""

    def whatever(self: RoutineProof, seconds: float) -> RoutineResult:
        found = true_verdict(self, seconds)
        return replace(found, verdict=Verdict.PROVED, counterexamples=(), proof=self._record())

    true_verdict = RoutineProof._verdict
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RoutineProof, "_verdict", whatever)
        results = prove_file(path, ProveOptions(record=True, is_thorough=False, **options), lambda _: None)
    write_bundles(folder, proved_of(results), several=False)
    return folder


_NOTHING = Asked()


@dataclass
class Forger:
    """Changes one bundle in memory, and asks whether it is accepted: then `check` would end with exit 0."""

    folder: Path
    rounds: int = 8

    def __post_init__(self) -> None:
        self.bundle = read_bundle(self.folder)
        content = json.loads(self.bundle.files["manifest.json"])
        for proof in content["proofs"]:
            proof["obligations"] = []  # they are listed anew, as a forger would do it with care
        self.text = json.dumps(content)

    def changed(self, change: Change) -> Any:
        """The manifest with the record of its first routine changed."""
        content = json.loads(self.text)
        change(content["proofs"][0]["routine"])
        return content

    def accepts(self, content: Any, asked: Asked | None = None) -> Question | None:
        """The question of which a bundle with this manifest, and scripts that follow from it, is taken for an
        answer; None where it is refused or left open."""
        text = content if isinstance(content, str) else json.dumps(content)
        asked = asked or Asked()
        with _quick(self.rounds):
            try:
                made = self.rewritten(text, asked)
                found = check.completed(made, asked, "forger")
            except (InputError, Unanswered):
                return None
        if any(each.tried.not_compared for each in found.proofs):
            return None
        texts = [o.text for _, o in found.obligations]
        texts.sort(key=lambda each: _ANSWERS.get(each) is Said.UNSAT)
        return found.proofs[0].question if all(map(_holds, texts)) else None

    def rewritten(self, text: str, asked: Asked = _NOTHING) -> Bundle:
        """The bundle with another manifest, and the files and lists that follow from it."""
        try:
            manifest = decoded(text.encode("utf-8", "surrogatepass"))
        except ValueError as error:
            raise InputError(str(error)) from error
        files = {n: c for n, c in self.bundle.files.items() if not n.endswith(".smt2")}
        content = json.loads(text)
        for number, proof in enumerate(manifest.proofs):
            name = proof.code or manifest.object
            image = variant_image(check._image(Bundle(self.folder, files, manifest), name), proof.routine)
            question = asked_of(proof.routine, image, asked, "")
            listed = []
            try:
                for each in obligations(proof.routine, question):
                    files[f"{proof.folder}/{each.name}.smt2"] = each.text.encode()
                    listed.append({"file": f"{each.name}.smt2", "kind": each.kind, "says": each.says})
            except Inconsistent as error:
                raise InputError(str(error)) from error
            content["proofs"][number]["obligations"] = listed
        files["manifest.json"] = json.dumps(content).encode()
        return Bundle(self.folder, files, decoded(files["manifest.json"]))


_ANSWERS: dict[str, Said] = {}


def _holds(text: str) -> bool:
    if text not in _ANSWERS:
        said = ask("bitwuzla", text, 10).said
        _ANSWERS[text] = said if said in (Said.SAT, Said.UNSAT) else ask("cvc5", text, 10).said
    return _ANSWERS[text] is Said.UNSAT


@contextmanager
def _quick(rounds: int) -> Iterator[None]:
    """The same object is read once, and fewer states are tried: none is accepted for that which would not
    be otherwise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check, "load", _loaded)
        patch.setattr(check, "trial", lambda *rest: _TRIAL(*rest, rounds))
        yield


_TRIAL = check.trial
_loaded = cache(load)


# -- every leaf


def leaves(content: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The places of all that is no table and no list, and of all lists, in a JSON value."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from leaves(value, (*place, key))
        return
    if isinstance(content, list):
        for number, value in enumerate(content):
            yield from leaves(value, (*place, number))
    yield place


def hostile_values(old: Any) -> list[Any]:
    """What a forger puts in the place of a leaf."""
    if isinstance(old, bool):
        return [not old]
    if isinstance(old, int):
        return [0, old + 1, old - 1, 1 << 63, -1]
    if isinstance(old, list):
        return [[], *(old[:n] + old[n + 1 :] for n in range(len(old))), old + old]
    if old is None:
        return [0, "", "true"]
    return ["", "true", "false", f"{old}) (assert false", f"{old}\n(assert false)", f"(= {old} {old})"]


def replaced(content: Any, place: tuple[str | int, ...], new: Any) -> Any:
    """A copy of a JSON value with another leaf."""
    copy = json.loads(json.dumps(content))
    inside = copy
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = new
    return copy


# -- every token

_JSON = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9]+|true|false|null|[\[\]{}:,]')
_SMT = re.compile(r"\|[^|]*\||[()]|[^\s()]+")


def single_tokens(text: str, random: Random, count: int) -> Iterator[tuple[str, str]]:
    """Manifests with one token changed, each with what was changed: `count` of them, drawn at random."""
    tokens = [m for m in _JSON.finditer(text) if m[0] not in "[]{}:,"]
    strings = sorted({m[0] for m in tokens if m[0].startswith('"')})
    words = sorted({w for s in strings for w in _SMT.findall(json.loads(s))})
    numbers = sorted({m[0] for m in tokens if m[0].lstrip("-").isdigit()})
    for _ in range(count):
        match = random.choice(tokens)
        new = _other(match[0], random, strings, words, numbers)
        if new != match[0]:
            yield text[: match.start()] + new + text[match.end() :], f"{match[0]} -> {new}"


def _other(token: str, random: Random, strings: list[str], words: list[str], numbers: list[str]) -> str:
    if not token.startswith('"'):
        if token in ("true", "false", "null"):
            return random.choice(["true", "false", "null", "0"])
        return random.choice([str(int(token) + 1), str(int(token) - 1), "0", random.choice(numbers), "null"])
    inside = list(_SMT.finditer(json.loads(token)))
    if not inside or not random.randrange(4):
        return random.choice(strings)
    chosen, word = random.choice(inside), json.loads(token)
    new = random.choice([random.choice(words), random.choice(words), "", "true", "false", _near(chosen[0])])
    return json.dumps(word[: chosen.start()] + new + word[chosen.end() :])


def _near(word: str) -> str:
    """A constant that is one more; of another word itself with one more letter."""
    if word.startswith("#x"):
        digits = len(word) - 2
        return f"#x{(int(word[2:], 16) + 1) % 16**digits:0{digits}x}"
    return word + "1"
