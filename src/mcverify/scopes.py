"""To what each obligation must have an answer: the table of `models/obligations.toml`.

The verdict of a proof and the checker of a bundle both read it. An obligation for which nothing states a goal
has no answer; it is never proved by that, it is a bug of mcverify.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Literal, cast

from mcverify.models import read_toml

if TYPE_CHECKING:
    from mcverify.contract import Contract

Scope = Literal["exit", "exit after a fault", "access", "end", "frame", "loops"]
"""A kind of thing to which an obligation has an answer; obligations.toml says what each is."""


class Unanswered(Exception):
    """An obligation of the contract has no answer somewhere where its scope asks for one: a bug of
    mcverify."""


@cache
def _rows() -> dict[str, dict[str, tuple[Scope, ...]]]:
    rows = {}
    for identifier, row in read_toml("obligations.toml").items():
        scope = cast("tuple[Scope, ...]", tuple(row["scope"]))
        rows[identifier] = {
            "scope": scope,
            "without_count": tuple(row.get("without_count", scope)),
            "of_string": tuple(row.get("of_string", row.get("without_count", scope))),
            "safety": tuple(row.get("safety", ())),
        }
    return rows


def makes_sense(identifier: str, contract: Contract) -> bool:
    """Whether the contract may name the obligation: some are about a count of bytes left."""
    return bool(scopes(identifier, contract))


def scopes(identifier: str, contract: Contract) -> tuple[Scope, ...]:
    """To what an obligation of the contract must have an answer."""
    kind = "of_string" if contract.string_length else "without_count" if contract.left is None else "scope"
    return _rows()[identifier][kind]


def named(contract: Contract) -> tuple[str, ...]:
    """The obligations that bind after some fault or none, in order."""
    return tuple(o for o in _rows() if o in (*contract.obligations, *contract.on_machine_check))


def at_return(contract: Contract, *, faulted: bool) -> Iterable[str]:
    """The obligations that must have an answer at a way that returns, with a fault before it or without."""
    wanted = {"exit", "exit after a fault"} if faulted else {"exit"}
    return (o for o in named(contract) if wanted.intersection(scopes(o, contract)))


def needs_transient(identifier: str, scope: Scope, contract: Contract) -> bool:
    """Whether the contract asks an obligation, of one kind of things, under faults that come and go: each
    access faults or not by itself. What is not understood ("") might do anything, and counts as safety."""
    if contract.fault_model != "mixed":
        return contract.fault_model == "transient"
    return not identifier or scope in _rows()[identifier]["safety"]
