"""What has changed in a routine since it was refuted."""

from pathlib import Path

import pytest
from support.witnesses import ASM, witness_document, write_witness

from mcverify.errors import InputError
from mcverify.runs.case import Case, Place, Placement
from mcverify.witness.file import read_witnesses
from mcverify.witness.subject import file_of, subject


@pytest.fixture
def witness(found, tmp_path):
    return read_witnesses(write_witness(tmp_path / "w.json", found))[0]


def edit(source: Path, before: str, after: str) -> None:
    text = source.read_text()
    assert text.count(before) == 1
    source.write_text(text.replace(before, after))


def test_an_unchanged_file(witness, source):
    now = subject(witness, source)
    assert (now.changes, now.notes) == ((), ())
    assert now.addresses == {line.address: line.address for line in witness.listing}
    assert now.contract == witness.contract


def test_comments_and_lines_do_not_count_but_are_told(witness, source):
    source.write_text("/* a new first line */\n\n" + source.read_text())
    now = subject(witness, source)
    assert now.changes == ()
    [note] = now.notes
    assert "has changed since, but neither the code nor the table of rep_movsq" in note


def test_another_routine_before_it_moves_it(witness, source):
    edit(source, "SYM_FUNC_START(rep_movsq)", "SYM_FUNC_START(other)\n\tnop\n\tRET\nSYM_FUNC_END(other)\n"
         "SYM_FUNC_START(rep_movsq)")  # fmt: skip
    now = subject(witness, source)
    assert now.changes == ()
    assert now.entry != witness.entry
    assert now.addresses[witness.entry] == now.entry


def test_the_first_instruction_that_differs_is_shown(witness, source):
    edit(source, "lea	(%rdx,%rcx), %rax", "lea	(%rdx,%rcx,8), %rax")
    now = subject(witness, source)
    line = source.read_text().split("%rcx,8")[0].count("\n") + 1
    assert now.changes == (
        f"the code differs at {source}:{line}: it was 'leaq (%rdx, %rcx), %rax',"
        " now it is 'leaq (%rdx, %rcx, 8), %rax'",
    )
    assert now.addresses == {}


def test_code_that_is_gone(witness, source):
    edit(source, "	_ASM_EXTABLE_TYPE(.Lread_b, .Lfix_b, EX_TYPE_DEFAULT_MCE_SAFE)\n", "")
    [change] = subject(witness, source).changes
    assert change.startswith("the code differs: 'movq %rcx, %rax', then at ")
    assert change.endswith(", is gone")


def test_a_fixup_that_was_exchanged(witness, source):
    edit(source, "(.Lread_q, .Lfix_q,", "(.Lread_q, .Lfix_b,")
    edit(source, "(.Lread_b, .Lfix_b,", "(.Lread_b, .Lfix_q,")
    now = subject(witness, source)
    assert len(now.changes) == 2
    assert "rep movsq (%rsi), (%rdi)) went to .Lfix_q, now it goes to .Lfix_b" in now.changes[0]


def test_another_handler(witness, source):
    edit(
        source, "(.Lread_q, .Lfix_q, EX_TYPE_DEFAULT_MCE_SAFE)", "(.Lread_q, .Lfix_q, EX_TYPE_FAULT_MCE_SAFE)"
    )
    [change] = subject(witness, source).changes
    assert "had the handler default_mce_safe, now it has fault_mce_safe" in change


def test_another_contract(witness, source):
    edit(source, "contract bytes_left", "contract uaccess")
    changes = subject(witness, source).changes
    assert "the contract uaccess differs: name was bytes_left, now it is uaccess" in changes
    assert any("obligations was O1, O2, O3, O4, O6, O7, O8, O9, now it is" in change for change in changes)


def test_without_a_contract_the_recorded_one_counts(witness, source):
    edit(source, "mcverify: contract bytes_left", "without a contract")
    now = subject(witness, source)
    assert now.changes == ()
    assert now.contract == witness.contract


def test_a_routine_that_is_gone(witness, source):
    source.write_text(source.read_text().replace("rep_movsq)", "rep_movsq_new)"))
    with pytest.raises(InputError, match="there is no routine 'rep_movsq'"):
        subject(witness, source)


def test_the_file_is_looked_for_beside_the_witness(found, tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    found["routines"][0]["file"] = "routine.S"
    beside = write_witness(tmp_path / "w.json", found)
    [witness] = read_witnesses(beside)
    monkeypatch.chdir(tmp_path / "there")
    assert file_of(witness, beside) == tmp_path / "routine.S"


def test_a_file_that_is_gone(witness, source, tmp_path):
    source.unlink()
    with pytest.raises(InputError, match="routine.S is gone, the file of rep_movsq"):
        file_of(witness, tmp_path / "w.json")


@pytest.fixture
def alternative(tmp_path):
    """A witness of the variant of a routine that a CPU without ERMS runs, and its source."""
    source = tmp_path / "alternative.S"
    source.write_text((ASM / "alternative_wrong_words.S").read_text())
    case = Case(9, Placement(Place.HOLE, 0), Placement(Place.FREE))
    document = witness_document(source, case, variant="!ERMS", contract="bytes_left")
    return read_witnesses(write_witness(tmp_path / "w.json", document))[0], source


def test_a_variant_is_found_again(alternative):
    witness, source = alternative
    now = subject(witness, source)
    assert (now.name, now.changes) == ("alternative [!ERMS]", ())
    assert [line.text.split()[0] for line in now.listing[:2]] == ["movq", "jmp"]


def test_a_variant_that_there_is_no_more(alternative):
    witness, source = alternative
    edit(source, "X86_FEATURE_ERMS\n", "X86_FEATURE_FSRM\n")
    with pytest.raises(InputError, match=r"there is no alternative \[!ERMS\] any more") as caught:
        subject(witness, source)
    assert "alternative [FSRM], alternative [!FSRM]" in (caught.value.hint or "")
