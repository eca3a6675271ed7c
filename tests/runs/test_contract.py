from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from mcverify.contract import Contract, all_contracts, contract_for, contract_of, contracts_for, load_contract
from mcverify.errors import InputError
from mcverify.kernels import overlap

GOOD = """
name = "mine"
obligations = ["O9", "O1"]
[arguments]
dst = "rdi"
src = "rsi"
len = "rdx"
[result]
left = "rax"
"""


def of(tmp_path: Path, text: str) -> Contract:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return load_contract(path)


def test_each_shipped_contract_is_found_by_its_name() -> None:
    names = [c.name for c in all_contracts()]
    assert {"mcsafe_ret", "bytes_left", "status", "uaccess", "uaccess_rcx", "clear", "nocache"} <= set(names)
    assert [load_contract(n).name for n in names] == names


def test_a_kernel_routine_is_known_by_its_name() -> None:
    contract = contract_for("rep_stos_alternative")
    assert contract is not None
    assert (contract.name, contract.src, contract.given, contract.over_report) == (
        "clear",
        None,
        {"rax": 0},
        7,
    )
    assert contract_for("no_such_routine") is None


def test_what_is_left_out_has_the_usual_value(tmp_path: Path) -> None:
    contract = of(tmp_path, GOOD)
    assert contract.obligations == ("O1", "O9")
    assert (contract.faults, contract.data, contract.over_report, contract.trap) == ("loads", "copy", 0, None)
    assert contract.on_machine_check == contract.obligations
    assert contract.kept == ("rbx", "rbp", "r12", "r13", "r14", "r15")


def test_fewer_obligations_may_bind_after_a_machine_check(tmp_path: Path) -> None:
    contract = of(tmp_path, GOOD + '[machine_check]\nobligations = ["O1"]\n')
    assert contract.binding(18) == ("O1",)
    assert contract.binding(14) == contract.binding(None) == ("O1", "O9")


def test_more_may_be_reported_left_after_a_machine_check(tmp_path: Path) -> None:
    contract = of(tmp_path, GOOD + "[machine_check]\nover_report = 32\n")
    assert [contract.over_report_after(trap) for trap in (None, 14, 18)] == [0, 0, 32]
    assert contract.on_machine_check == contract.obligations
    plain = of(tmp_path, GOOD.replace('name = "mine"', 'name = "mine"\nover_report = 7'))
    assert [plain.over_report_after(trap) for trap in (None, 14, 18)] == [7, 7, 7]


def test_a_machine_check_strikes_loads_alone() -> None:
    traps = {t: load_contract("uaccess").restricted(t) for t in ("pf", "mc", "both")}
    assert {t: (c.load_traps, c.store_traps) for t, c in traps.items()} == {
        "pf": ((14,), (14,)),
        "mc": ((18,), ()),
        "both": ((14, 18), (14,)),
    }


def test_a_routine_without_a_source_clears(tmp_path: Path) -> None:
    contract = of(tmp_path, GOOD.replace('src = "rsi"\n', ""))
    assert (contract.src, contract.data, contract.faults) == (None, "zero", "stores")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "mine"', "", "name is missing"),
        ('left = "rax"', 'leftt = "rax"', "result.leftt is not a key of a contract; did you mean 'left'?"),
        ('left = "rax"', "", "exactly one of left and status"),
        ('left = "rax"', 'left = "rax"\nstatus = "rcx"', "exactly one of left and status"),
        ('left = "rax"', 'left = "xmm0"', "result.left names 'xmm0', which is unknown"),
        ('left = "rax"', 'left = "rbx"', "cannot use rbx, which the routine must preserve"),
        ('left = "rax"', 'left = "rax"\ntrap = "rax"', "uses rax twice"),
        ('left = "rax"', "left = 3", "result.left must be a string, not 3"),
        ('src = "rsi"', 'src = "rdi"', "arguments use rdi twice"),
        ('len = "rdx"', 'len = "rsp"', "cannot use rsp"),
        ('"O9", "O1"', '"O9", "O11"', "names 'O11', which is unknown"),
        ('name = "mine"', 'name = "mine"\nfaults = "load"', "is unknown; did you mean 'loads'?"),
        ('name = "mine"', 'name = "mine"\nover_report = -1', "over_report must not be negative"),
        ('name = "mine"', 'name = "mine"\nover_report = true', "over_report must be an integer, not True"),
        ('name = "mine"', 'name = "mine"\ntraps = "mce"', "names 'mce', which is unknown"),
        ("[result]", "[machine_check]\nover_report = -1\n[result]", "over_report must not be negative"),
        ('name = "mine"', 'name = "mine"\ndata = "zero"', "arguments.src names a register"),
        ('name = "mine"', "name = ", "the contract is not TOML"),
        ("[result]", "[results]", "results is not a key of a contract; did you mean 'result'?"),
        ("[result]", "[state]\ngiven = { eax = 0 }\n[result]", "names 'eax', which is unknown"),
        ("[result]", '[state]\nclobbered = ["rcx"]\n[result]', "names 'rcx', which is unknown"),
        ('len = "rdx"', 'len = "rdx"\nsize = 4', "must name one of len and size"),
        ('len = "rdx"', "size = 0", "arguments.size must be positive"),
        ('src = "rsi"', 'value = "xmm0"', "arguments.value names 'xmm0', which is unknown"),
        ('len = "rdx"', 'size = 4\nvalue = "rdx"', "arguments.value names a register"),
        ('left = "rax"', 'left = "rax"\nvalue = "rdx"', "arguments.size must be 1, 2, 4 or 8"),
        ('left = "rax"', 'left = "rax"\nerror = -14', "names no status"),
        ('left = "rax"', 'left = "rax"\nsuccess_unasked = true', "names no status"),
    ],
)  # fmt: skip
def test_a_wrong_contract_is_refused_with_the_key_that_is_wrong(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in GOOD
    with pytest.raises(InputError) as caught:
        of(tmp_path, GOOD.replace(old, new))
    assert message in str(caught.value)
    assert "mine.toml" in str(caught.value)


def test_an_unknown_name_is_answered_with_all_names() -> None:
    with pytest.raises(InputError, match="did you mean 'uaccess'") as caught:
        load_contract("uacces")
    assert all(c.name in str(caught.value) for c in all_contracts())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml: cannot read the contract: No such file"):
        load_contract(tmp_path / "none.toml")


VALUE = """
name = "mine"
obligations = ["O1", "O6", "O9"]
[arguments]
src = "rax"
size = 4
[result]
value = "rdx"
status = "rax"
error = -14
[state]
user = true
"""


def test_a_value_may_come_back_in_a_register(tmp_path: Path) -> None:
    contract = of(tmp_path, VALUE)
    assert (contract.dst, contract.len, contract.size, contract.loaded_value) == (None, None, 4, "rdx")
    assert (contract.arguments, contract.results, contract.buffers) == (("rax",), ("rax", "rdx"), "src")
    assert contract.user


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("size = 4", "size = 3", "must be 1, 2, 4 or 8"),
        ("size = 4", 'size = 4\ndst = "rdi"', "a src and no dst"),
        ('src = "rax"', 'dst = "rdi"', "a src and no dst"),
        ('"O6"', '"O4"', "holds O4, about stored bytes, but there is no dst"),
        ("[arguments]", 'faults = "both"\n[arguments]', "a routine without a dst has loads only"),
        ('value = "rdx"', 'value = "rax"', "uses rax twice"),
    ],
)
def test_a_value_that_cannot_be_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        of(tmp_path, VALUE.replace(old, new))
    assert message in str(caught.value)


def test_an_error_is_compared_in_32_bits(tmp_path: Path) -> None:
    contract = of(tmp_path, VALUE)
    right = [
        value for value in (0, 1, 0xFFFFFFF2, (1 << 64) - 14) if contract.status_is_right(value, faulted=True)
    ]
    assert right == [0xFFFFFFF2, (1 << 64) - 14]
    assert [contract.status_is_right(value, faulted=False) for value in (0, 0xFFFFFFF2)] == [True, False]


def test_what_a_status_is_on_success_may_be_left_open() -> None:
    contract = load_contract("checksum")
    assert [contract.status_is_right(value, faulted=False) for value in (0, 7)] == [True, True]
    assert [contract.status_is_right(value, faulted=True) for value in (0, 7)] == [True, False]


def test_a_register_that_is_free_to_use_need_not_come_back() -> None:
    kept = load_contract("put_user_8").kept
    assert "rbx" not in kept
    assert {"rbp", "rax", "rdx", "r12"} <= set(kept)


@pytest.mark.parametrize(
    ("named", "register", "bits"),
    [("eax", "rax", 32), ("r9b", "r9", 8), ("sil", "rsi", 8), ("bx", "rbx", 16)],
)
def test_a_result_may_be_a_part_of_a_register(named: str, register: str, bits: int) -> None:
    tree = tomllib.loads(GOOD.replace('left = "rax"', f'left = "{named}"'))
    tree.setdefault("state", {})["clobbered"] = ["rbx"]
    contract = contract_of(tree, "x.toml")
    assert (contract.left, contract.bits("left"), contract.named("left")) == (register, bits, named)
    assert contract.result("left", {register: 0x1234_5678_9ABC_DEF0}) == 0x1234_5678_9ABC_DEF0 % (1 << bits)


@pytest.mark.parametrize("named", ["rax", "al"])
def test_an_inverted_status_is_a_c_bool(named: str) -> None:
    tree = tomllib.loads(GOOD.replace('left = "rax"', f'status = "{named}"\nstatus_inverted = true'))
    contract = contract_of(tree, "x.toml")
    assert contract.named("status") == "al"
    right = [contract.status_is_right(v, faulted=f) for f in (False, True) for v in (0, 1, 2)]
    assert right == [False, True, False, True, False, False]


def test_a_status_that_is_no_bool_keeps_its_width() -> None:
    assert load_contract("checksum").named("status") == "rax"
    tree = tomllib.loads(GOOD.replace('left = "rax"', 'status = "eax"\nstatus_inverted = true'))
    assert contract_of(tree, "x.toml").status_is_right(7, faulted=False)


@pytest.mark.parametrize(
    ("kernels", "name"),
    [
        ("", "nocache"),
        ("5.10.226", "nocache"),
        ("6.3.9", "nocache"),
        ("6.4.0-rc1", "nontemporal"),
        ("6.18.3", "nontemporal"),
        ("6.4 to 6.18", "nontemporal"),
        ("5.16 on", "nocache"),
    ],
)
def test_a_name_bears_the_contract_of_its_kernels(kernels: str, name: str) -> None:
    contract = contract_for("__copy_user_nocache", kernels)
    assert contract is not None
    assert contract.name == name


def test_kernels_of_a_name_do_not_overlap() -> None:
    for routine in {name for contract in all_contracts() for name in contract.routines}:
        spans = [c.routines[routine] for c in contracts_for(routine)]
        assert not any(overlap(a, b) for i, a in enumerate(spans) for b in spans[:i]), routine


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("2.6.19 to 6.3", "6.3.9", True),
        ("2.6.19 to 6.3", "6.4", False),
        ("6.4 on", "6.12 to 6.18", True),
        ("6.4 on", "2.6.27 to 3.4", False),
        ("4.6 to 5.15", "5.15.1 on", True),
    ],
)
def test_spans_of_kernels_are_compared(one: str, other: str, expected: bool) -> None:
    assert overlap(one, other) is overlap(other, one) is expected


def test_a_role_stands_for_a_register(tmp_path: Path) -> None:
    words = {"rdi": "arg1", "rsi": "arg2", "rdx": "arg3", "rax": "result"}
    roles = GOOD
    for register, role in words.items():
        roles = roles.replace(f'"{register}"', f'"{role}"')
    assert roles != GOOD
    assert of(tmp_path, roles) == of(tmp_path, GOOD)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (('src = "rsi"', 'src = "arg1"'), "use rdi twice"),
        (('src = "rsi"', 'src = "arg7"'), "names 'arg7', which is unknown"),
        (('src = "rsi"', 'src = "arg0"'), "names 'arg0', which is unknown"),
    ],
)
def test_a_role_that_is_no_ones_or_another_arguments(
    tmp_path: Path, change: tuple[str, str], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        of(tmp_path, GOOD.replace(*change))


def test_a_register_given_by_its_name_and_its_role(tmp_path: Path) -> None:
    text = GOOD + "\n[state.given]\nr8 = 0\narg5 = 1\n"
    with pytest.raises(InputError, match="names one register twice"):
        of(tmp_path, text)


@pytest.mark.parametrize(
    ("told", "value", "left"),
    [
        ("left", 3, 3),
        ("done", 3, 7),
        ("done", 11, (1 << 64) - 1),
        ("fault_address", 0, 0),
        ("fault_address", 0x1000 + 3, 7),
        ("fault_address", 0x2000, 10),
        ("fault_address", 0x2000 + 10, (1 << 64) - 1),
    ],
)
def test_the_count_of_bytes_left_may_be_told_otherwise(told: str, value: int, left: int) -> None:
    tree = tomllib.loads('traps = "pf"\n' + GOOD.replace('left = "rax"', f'{told} = "rax"'))
    contract = contract_of(tree, "x.toml")
    assert contract.left_of({"rax": value}, {"rdi": 0x1000, "rsi": 0x2000}, 10) == left


def test_a_status_beside_an_address_says_whether_there_was_a_fault() -> None:
    told = 'fault_address = "rax"\nstatus = "cf"'
    contract = contract_of(tomllib.loads('traps = "pf"\n' + GOOD.replace('left = "rax"', told)), "x.toml")
    called = {"rdi": 0x1000, "rsi": 0x2000}
    assert contract.left_of({"rax": 0x1003, "rflags": 0x202}, called, 10) == 0
    assert contract.left_of({"rax": 0x1003, "rflags": 0x203}, called, 10) == 7


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[result]\nfault_address = "rax"', "traps must be"),
        ('traps = "pf"\n[result]\nfault_address = "eax"', "whole register"),
        ('[result]\nleft = "rax"\ndone = "rdx"', "tells the count"),
        ('[result]\nleft = "rax"\n[fault]\naddress = "rax"', "traps must be"),
        ('[result]\nleft = "rax"\n[fault]\ntrap = "rsp"', "names rsp"),
        ('[result]\nleft = "cf"', "unknown"),
        ('[result]\nleft = "rax"\ntrap = "cf"', "a flag holds none"),
        ('[result]\nstatus = "cf"\nerror = -14', "the status is a flag"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path: Path, text: str, said: str) -> None:
    head, _, tail = text.partition("[result]")
    obligations = 'obligations = ["O1"]\n'
    arguments = '[arguments]\ndst = "rdi"\nsrc = "rsi"\nlen = "rdx"\n'
    with pytest.raises(InputError, match=said):
        of(tmp_path, 'name = "mine"\n' + obligations + head + arguments + "[result]" + tail)
