"""Revisions proved to do the same by walking both at once, and those that must not be."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import z3
from support.results import PROVED

from mcverify.deadline import Deadline
from mcverify.image.load import load
from mcverify.logic.standpoint import Invariant
from mcverify.machine.instruction import Kind
from mcverify.machine.terms import replace, symbols_of
from mcverify.paths.segment import Location
from mcverify.proof.listing import listing
from mcverify.proof.options import ProveOptions
from mcverify.proof.select import tasks
from mcverify.review.equivalence import Equivalence, Explored, _may_all_fault
from mcverify.review.joint import Half, links
from mcverify.review.kept import LastTwo
from mcverify.review.prove import Progress, Proved

ASM = Path("asm")
PAIRS = Path(__file__).parent / "pairs"
BYTES = (PAIRS / "bytes.S").read_text()


def _loaded(path: Path) -> Proved:
    image = load(path)
    (task,) = tasks(image, ProveOptions())
    return Proved(PROVED, image, task)


def _same(old: Path, new: Path, *, invariants: bool) -> str:
    """Why it was not proved that both do the same, "" where it was."""
    asked = Equivalence(_loaded(old), _loaded(new), ProveOptions(), Deadline(None), lambda _: None, LastTwo())
    answer = asked.simulated((invariants,))
    return "" if answer.proved else answer.why


@pytest.fixture(autouse=True, scope="module")
def explored_once() -> Iterator[None]:
    """Explore each routine, and find its invariants, once for all tests: most compare with the same one."""
    explore, search = Explored.of, Explored._invariants
    paths: dict[str, Explored] = {}
    found: dict[str, Mapping[Location, Invariant]] = {}

    def of(proved: Proved, options: ProveOptions, deadline: Deadline) -> Explored:
        key = proved.image.sha256
        if key not in paths:
            paths[key] = explore(proved, options, deadline)
        return paths[key]

    def invariants(self: Explored, progress: Progress) -> Mapping[Location, Invariant]:
        key = self.proved.image.sha256
        if key not in found:
            found[key] = search(self, progress)
        return found[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Explored, "of", of)
        patch.setattr(Explored, "_invariants", invariants)
        yield


def _edited(folder: Path, text: str, *edits: tuple[str, str]) -> Path:
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    path = folder / "edited.S"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["registers", "scratch"])
def test_other_registers_make_no_difference(name: str) -> None:
    assert _same(PAIRS / "bytes.S", PAIRS / f"{name}.S", invariants=False) == ""


@pytest.mark.slow
def test_counters_of_32_bits_are_the_same_as_long_as_the_length_fits() -> None:
    assert _same(PAIRS / "bytes.S", PAIRS / "far.S", invariants=True) == ""


@pytest.mark.parametrize(
    "edit",
    [
        ("test\t%edx, %edx", "and\t%edx, %edx"),
        ("lea\t(%rdx,%rcx,8), %rax", "shl\t$3, %rcx\n\tlea\t(%rcx,%rdx), %rax"),
        ("dec\t%edx", "sub\t$1, %edx"),
        ("\tmov\t(%rsi), %rax\n\tmov\t%rax, (%rdi)", "\tmov\t(%rsi), %r9\n\tmov\t%r9, (%rdi)"),
    ],
)
def test_the_same_said_otherwise_is_the_same(tmp_path: Path, edit: tuple[str, str]) -> None:
    path = ASM / "words_bytes.S"
    assert _same(path, _edited(tmp_path, path.read_text(), edit), invariants=False) == ""


def test_a_store_without_an_entry_beside_one_that_has_one_is_no_reason_to_be_the_same(tmp_path: Path) -> None:
    """Stores of this contract may fault where they have an entry: each of the two keeps its own promise."""
    entry = "\t_ASM_EXTABLE(.Lread, .Lfix)\n"
    text = BYTES.replace(entry, entry + entry.replace("read", "first") + entry.replace("read", "again"))
    store = "mov\t%al, (%rdi)\n"
    text = text.replace(f"\t{store}", f".Lfirst:\t{store}.Lagain:\t{store}")
    answers = []
    for name, own in (("both.S", text), ("one.S", text.replace(entry.replace("read", "again"), ""))):
        (tmp_path / name).write_text(own)
        found = _loaded(tmp_path / name)
        assert found.task.faults == "loads and entries"
        listed = listing(found.image, found.task.entry)
        result = dataclasses.replace(PROVED, listing=listed)
        answers.append(_may_all_fault(dataclasses.replace(found, result=result)))
    assert answers == [True, False]


@pytest.mark.parametrize("name", ["alignment", "status"])
def test_a_difference_for_one_alignment_or_one_exit_is_none_to_be_missed(name: str) -> None:
    assert "return different values" in _same(PAIRS / "bytes.S", PAIRS / f"{name}.S", invariants=False)


@pytest.mark.parametrize(
    "edit",
    [
        ("mov\t%al, (%rdi)", "mov\t%al, 1(%rdi)"),
        ("inc\t%rsi", "add\t$2, %rsi"),
        ("_ASM_EXTABLE(.Lread, .Lfix)", ""),
        ("mov\t%rcx, %rax\n\tRET\n\t_ASM", "mov\t%rcx, %rax\n\tmov\t%rax, %rbx\n\tRET\n\t_ASM"),
        ("mov\t%rcx, %rax\n\tRET\n\t_ASM", "mov\t%rcx, %rax\n\tstd\n\tRET\n\t_ASM"),
        ("xor\t%eax, %eax\n\tRET", "movb\t$0, (%rdi)\n\txor\t%eax, %eax\n\tRET"),
        ("dec\t%rcx", "sub\t$1, %cx"),
    ],
    ids=["other place", "other byte", "no entry", "kept register", "flag", "one more store", "16 bits"],
)
@pytest.mark.slow
def test_whatever_a_caller_could_see_is_a_difference(tmp_path: Path, edit: tuple[str, str]) -> None:
    assert _same(PAIRS / "bytes.S", _edited(tmp_path, BYTES, edit), invariants=True) != ""


def test_data_from_elsewhere_are_a_difference_even_where_the_counts_agree() -> None:
    old, new = (ASM / f"retry_moved{which}.S" for which in ("", "_wrong_source"))
    assert "store different bytes" in _same(old, new, invariants=True)


RETRIES = """
#include <linux/linkage.h>
#include <asm/asm.h>
/* mcverify: contract bytes_left */
SYM_FUNC_START(copy)
	mov	%rdx, %rcx
	cmp	$16, %rcx
	jb	.Ltail
.Lone:	mov	(%rsi), %r8
.Ltwo:	mov	8(%rsi), %r9
	mov	%r8, (%rdi)
	mov	%r9, 8(%rdi)
	add	$16, %rsi
	add	$16, %rdi
	sub	$16, %rcx
.Ltail:	test	%rcx, %rcx
	jz	.Lall
.Lbyte:	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rcx
	jmp	.Ltail
.Lall:	xor	%eax, %eax
	RET
.Lfixone: FIRST
	jmp	.Lretry
.Lfixtwo: SECOND
.Lretry:	test	%rcx, %rcx
	jz	.Lleft
.Lagain:	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rcx
	jmp	.Lretry
.Lleft:	mov	%rcx, %rax
	RET
	_ASM_EXTABLE(.Lone, .Lfixone)
	_ASM_EXTABLE(.Ltwo, .Lfixtwo)
	_ASM_EXTABLE(.Lbyte, .Lleft)
	_ASM_EXTABLE(.Lagain, .Lleft)
SYM_FUNC_END(copy)
"""


@pytest.mark.parametrize(
    ("edit", "differing"),
    [
        (("FIRST", "dec\t%rcx"), {".Lone", ".Lagain"}),
        (("SECOND", "inc\t%rsi"), {".Ltwo", ".Lagain"}),
        (("xor\t%eax, %eax", "mov\t$1, %eax"), {"success"}),
        (("mov\t%r9, 8(%rdi)", "mov\t%r8, 8(%rdi)"), {"success", ".Lbyte"}),
    ],
)
@pytest.mark.slow
def test_what_fails_concerns_the_exits_on_its_way_and_no_others(
    tmp_path: Path, edit: tuple[str, str], differing: set[str]
) -> None:
    """Two faults lead to one loop that tries again; what is wrong behind one is not held against the
    other."""
    one, other = tmp_path / "one.S", tmp_path / "other.S"
    one.write_text(RETRIES.replace("FIRST", "nop").replace("SECOND", "nop"))
    other.write_text(RETRIES.replace(*edit).replace("FIRST", "nop").replace("SECOND", "nop"))
    loaded = [_loaded(path) for path in (one, other)]
    asked = Equivalence(
        loaded[0],
        loaded[1],
        ProveOptions(),
        Deadline(None),
        lambda _: None,
        LastTwo(),
        lambda side, address: loaded[side].image.label_at(address) or "",
    )
    assert asked.simulated().open == differing


def test_stores_in_another_order_are_the_same_where_only_loads_fault(tmp_path: Path) -> None:
    text = (ASM / "retry_moved.S").read_text()
    stores = "\tmov\t%rax, (%rdi)\n\tmov\t%rcx, 8(%rdi)\n"
    swapped = _edited(tmp_path, text, (stores, "\tmov\t%rcx, 8(%rdi)\n\tmov\t%rax, (%rdi)\n"))
    assert _same(ASM / "retry_moved.S", swapped, invariants=False) == ""


def test_stores_in_another_order_are_a_difference_where_stores_fault(tmp_path: Path) -> None:
    stores = (".Lone:\n\tmov\t%al, (%rdi)\n", ".Ltwo:\n\tmovb\t$0, 1(%rdi)\n")
    text = BYTES.replace("contract bytes_left", "contract uaccess")
    text = text.replace("\tmov\t%al, (%rdi)\n", "".join(stores))
    text = text.replace(
        "_ASM_EXTABLE(.Lread",
        "_ASM_EXTABLE(.Lone, .Lfix)\n\t_ASM_EXTABLE(.Ltwo, .Lfix)\n\t_ASM_EXTABLE(.Lread",
    )
    one, other = tmp_path / "one.S", tmp_path / "other.S"
    one.write_text(text)
    other.write_text(text.replace("".join(stores), "".join(reversed(stores))))
    assert _same(one, one, invariants=False) == ""
    assert _same(one, other, invariants=False) != ""


RETRY = ".Lfix:\n.Lagain:\n\tmov\t{}(%rsi), %r8b\n\tjmp\t.Lread\n.Lout:\n"
TABLE = ("_ASM_EXTABLE(.Lread, .Lfix)", "_ASM_EXTABLE(.Lread, .Lfix)\n\t_ASM_EXTABLE(.Lagain, .Lout)")


@pytest.mark.parametrize(("offset", "is_same"), [(0, True), (1, False), (-1, False)])
@pytest.mark.slow
def test_what_has_faulted_faults_again_and_its_neighbours_may_not(
    tmp_path: Path, offset: int, is_same: bool
) -> None:
    """One tries the byte again before it gives up: it cannot succeed. At another byte it can."""
    again = _edited(tmp_path, BYTES, (".Lfix:\n", RETRY.format(offset)), TABLE)
    assert (_same(PAIRS / "bytes.S", again, invariants=True) == "") is is_same


@pytest.mark.parametrize(
    "edits",
    [
        [("RET\n\t_ASM", "stac\n\tRET\n\t_ASM")],
        [("mov\t%rcx, %rax\n\tRET", "mov\t%rcx, %rax\n\tadd\t$8, %rsp\n\tRET")],
        [("xor\t%eax, %eax\n\tRET", "xor\t%eax, %eax\n\tmovq\t$0, (%rsp)\n\tRET")],
        [("xor\t%eax, %eax\n\tRET", ".Lever:\n\tjmp\t.Lever")],
        [("jnz\t.Lread", "js\t.Lread")],
        [("jz\t.Lall", "jz\t.Lall\n\tcmp\t$0x7fffefff, %rdx\n\tje\t.Lfix")],
        [("jz\t.Lall", "jz\t.Lall\n\ttest\t$0xfff, %rsi\n\tjz\t.Lall")],
        [("mov\t%al, (%rdi)", "mov\t%ah, (%rdi)")],
        [("mov\t(%rsi), %al", "mov\t(%rsi), %eax")],
        [("mov\t(%rsi), %al", "movzbl\t1(%rsi), %eax")],
    ],
    ids=["AC", "rsp", "return address", "endless", "sign", "one length", "one page", "ah", "wider", "next"],
)
def test_one_input_in_2_to_the_64_is_a_difference_too(tmp_path: Path, edits: list[tuple[str, str]]) -> None:
    """Invariants help to prove, so those that change the loop are tried with them."""
    changed = _edited(tmp_path, BYTES, *edits)
    with_loop = any(word in edits[0][0] for word in ("(%rsi)", "(%rdi)", "jnz"))
    assert _same(PAIRS / "bytes.S", changed, invariants=with_loop) != ""


def test_the_number_of_the_trap_is_not_always_that_of_a_page_fault(tmp_path: Path) -> None:
    text = BYTES.replace("contract bytes_left", "contract mcsafe_ret").replace(
        "_ASM_EXTABLE(", "_ASM_EXTABLE_FAULT("
    )
    text = text.replace("mov\t%rcx, %rax", "mov\t%rcx, %rdx").replace(
        "xor\t%eax, %eax", "xor\t%eax, %eax\n\txor\t%edx, %edx"
    )
    one = tmp_path / "one.S"
    one.write_text(text)
    always = _edited(tmp_path, text, ("mov\t%rcx, %rdx\n", "mov\t%rcx, %rdx\n\tmov\t$14, %eax\n"))
    assert _same(one, one, invariants=False) == ""
    assert _same(one, always, invariants=False) != ""


REP = """
#include <linux/linkage.h>
#include <asm/asm.h>
/* mcverify: contract bytes_left */
SYM_FUNC_START(copy)
	mov	%rdx, %rcx
	BEGIN
.Lrep:
	rep movsb
	xor	%eax, %eax
	RET
.Lfix:
	BACK
.Lagain:
	mov	(%rsi), %al
	mov	%rcx, %rax
	RET
.Lout:
	mov	%rcx, %rax
	RET
	_ASM_EXTABLE(.Lrep, .Lfix)
	_ASM_EXTABLE(.Lagain, .Lout)
SYM_FUNC_END(copy)
"""


@pytest.mark.parametrize(
    ("begin", "back", "is_linked"), [("nop", "nop", True), ("add\t$8, %rsi", "sub\t$8, %rsi", False)]
)
def test_only_one_rep_stops_at_the_same_element_whatever_is_tried_behind_it(
    tmp_path: Path, begin: str, back: str, is_linked: bool
) -> None:
    """Both try again at an address of the form src + elements done; but where the REPs began elsewhere,
    nothing says that as many elements were done."""
    halves = []
    for name, text in (
        ("one", REP.replace("BEGIN", "nop").replace("BACK", "nop")),
        ("other", REP.replace("BEGIN", begin).replace("BACK", back)),
    ):
        (tmp_path / f"{name}.S").write_text(text)
        proved = _loaded(tmp_path / f"{name}.S")
        paths = Explored.of(proved, ProveOptions(), Deadline(None)).paths
        first = {s.faults[0].access.kind: s for s in paths.segments if len(s.faults) == 2}
        assert {*first} == {Kind.LOAD, Kind.STORE}  # the store of the REP has an entry, and may fault too
        halves.append(first[Kind.LOAD])
    old, new = halves

    def renamed(term: z3.ExprRef) -> z3.ExprRef:
        own = {n: z3.BitVec(f"new.{n}", 64) for n in symbols_of(term) if "@" not in n}
        return replace(term, own)

    found = links(Half(old, {}), Half(new, {}, renamed), "new.")
    assert any("done" in name for name in found) is is_linked
    assert len([name for name in found if "trap" in name]) == (2 if is_linked else 0)
