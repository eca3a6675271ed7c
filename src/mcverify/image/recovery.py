"""Whether the kernel recovers from a machine check at a table entry (`models/x86_64/machine_check.toml`)."""

from __future__ import annotations

from mcverify.contract import MACHINE_CHECK, Contract
from mcverify.errors import InputError
from mcverify.image.callees import ASSUMED
from mcverify.image.extable import is_of_linux
from mcverify.image.image import Handler, Image, TableEntry

_LONGEST = 15
_REX = range(0x40, 0x50)


def recovers(image: Image, entry: TableEntry, *, from_user: bool) -> bool:
    """Whether a machine check on a load of the entry's instruction ends at its fixup; `from_user`: it reads
    user memory."""
    known = image.architecture.model("machine_check.toml")["layouts"].get(image.layout)
    if known is None:
        return False
    name = entry.handler.name
    if name in known["always"]:
        return True
    moved = from_user and _moves(image, image.code_at(entry.insn, _LONGEST))
    return moved and bool({name, "*"} & set(known["from_user"]))


def _moves(image: Image, code: bytes) -> bool:
    """Whether it is one of the instructions that the kernel decodes: mov, movzx or movs."""
    table = image.architecture.model("machine_check.toml")["from_user"]
    prefixes = {int(prefix, 16) for prefix in table["prefixes"]}
    start = next((n for n, byte in enumerate(code) if byte not in prefixes), len(code))
    if code[start : start + 1] and code[start] in _REX:
        start += 1
    return any(code[start:].startswith(bytes.fromhex(opcode)) for opcode in table["opcodes"])


def handler_of(entry: TableEntry, contract: Contract) -> Handler:
    """What happens before control goes on at the fixup of an entry: what the contract says of all, if it says
    something, else what the table says."""
    if not contract.handed:
        return entry.handler
    return Handler("of the contract", tuple(f"{r} = {what}" for what, r in contract.handed.items()))


def fatal_entries(image: Image, contract: Contract) -> frozenset[int]:
    """Instructions with an entry at which a machine check, which the contract asks about, is fatal.

    Raises InputError for a kernel of which nothing is known of that.
    """
    if not contract.asks_recovery or MACHINE_CHECK not in contract.load_traps:
        return frozenset()
    if not is_of_linux(image.layout):
        raise InputError(
            f"nothing is known of where a kernel recovers from a machine check whose exception table has the"
            f" layout {image.layout}",
            where=str(image.path),
            hint="--trap pf asks about page faults alone",
        )
    user = contract.reads_user
    known = (e for e in image.entries if e.handler.name != ASSUMED)
    return frozenset(e.insn for e in known if not recovers(image, e, from_user=user))
