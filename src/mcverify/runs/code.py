"""The instructions of a routine that can be reached, and what they do."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mcverify.arch.decoded import Decoded, Effects
from mcverify.image.extable import NO_TABLE
from mcverify.image.image import Image
from mcverify.image.jump_tables import targets


def reachable(
    image: Image,
    entry: int,
    until: Callable[[Decoded], bool] = lambda _: False,
    *,
    faults: bool = True,
) -> dict[int, Decoded]:
    """All instructions reached from `entry` by known jumps, calls and, with `faults`, fixups, by address.

    What cannot be decoded, and where an indirect jump goes, is left out, and what lies behind instructions
    for which `until` holds.
    """
    found: dict[int, Decoded] = {}
    waiting = [entry]
    while waiting:
        address = waiting.pop()
        if address in found:
            continue
        instruction = decode(image, address)
        if instruction is None:
            continue
        found[address] = instruction
        if until(instruction):
            continue
        waiting.extend(instruction.targets)
        waiting.extend(_led_to(image, instruction))
        table_entry = image.entry_at(address) if faults else None
        if table_entry is not None:
            waiting.append(table_entry.fixup)
    return found


def _led_to(image: Image, instruction: Decoded) -> list[int]:
    """Where a jump table leads to whose address the instruction gives, for a jump that follows; and code of
    which it holds the address, where a handler may be set in place of a table."""
    if image.layout == NO_TABLE:
        places = range(instruction.address, instruction.end)
        return [image.code_references[place] for place in places if place in image.code_references]
    if not image.code_words:
        return []
    done = image.architecture.effects(instruction.code, instruction.address)
    named = (
        [o for o in done.explicit if o.relative_to is not None and not o.index] if done is not None else []
    )
    bases = (o.relative_to + o.displacement for o in named if o.relative_to is not None)
    return [target for base in bases for target in targets(image, base)]


def decode(image: Image, address: int) -> Decoded | None:
    """The instruction at `address`, None if there is no code or it cannot be decoded."""
    return image.architecture.decode(image.code_at(address), address)


def effects(image: Image, address: int) -> Effects | None:
    """What the instruction at `address` does, None if there is no code or it cannot be decoded."""
    return image.architecture.effects(image.code_at(address), address)


def text_at(image: Image, address: int) -> str:
    """The instruction at `address` as text, "" if it cannot be decoded."""
    return image.architecture.text(image.code_at(address), address)


def accesses_memory(image: Image, address: int) -> bool:
    """Whether the instruction at `address` may load or store: False only if it surely does neither."""
    done = effects(image, address)
    return done is None or done.may_access


def touches_more_than_stack(image: Image, address: int) -> bool:
    """Whether the instruction at `address` has an operand in memory that is not told by the stack pointer."""
    done = effects(image, address)
    if done is None or not done.may_access:
        return False
    return any(operand.base != image.architecture.stack_pointer for operand in done.explicit)


def is_model_specific(image: Image, address: int) -> bool:
    """Whether the instruction at `address` faults for a register that is not there, and accesses no
    memory."""
    done = effects(image, address)
    return done is not None and done.is_model_specific


def is_nontemporal(image: Image, address: int) -> bool:
    """Whether the instruction at `address` is a store that only a fence orders."""
    done = effects(image, address)
    return done is not None and done.is_nontemporal


def must_be_aligned(image: Image, address: int) -> int:
    """How the address of the memory operand of the instruction at `address` must be aligned, in bytes; 0
    where it need not be."""
    done = effects(image, address)
    return done.alignment if done is not None else 0


def is_fence(image: Image, address: int) -> bool:
    """Whether the instruction at `address` orders non-temporal stores."""
    done = effects(image, address)
    return done is not None and done.is_fence


def keeps_hidden(image: Image, address: int) -> bool:
    """Whether the instruction at `address` may change what the general registers and flags do not show:
    memory, or a vector register."""
    done = effects(image, address)
    return done is None or not done.is_plain or any(operand.stores for operand in done.explicit)


def modifies(image: Image, entry: int) -> bool:
    """Whether an instruction of the routine at `entry` stores what hangs on what it finds at that place: then
    a byte that was stored may look as if it was not."""
    found = (effects(image, address) for address in reachable(image, entry))
    return any(o.loads and o.stores for done in found if done is not None for o in done.explicit)


def opens_user_access(image: Image, addresses: Iterable[int]) -> dict[int, bool]:
    """The instructions at `addresses` that open or close user access, with whether they open it."""
    found = ((address, effects(image, address)) for address in addresses)
    return {at: bool(done.sets["ac"]) for at, done in found if done is not None and "ac" in done.sets}


def returning_externals(image: Image) -> frozenset[int]:
    """Addresses of the external symbols that stand for a return (the architecture's `externals.toml`)."""
    names = image.architecture.model("externals.toml")["return_thunks"]["names"]
    return frozenset(address for address, name in image.externals.items() if name in names)
