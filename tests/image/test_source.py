"""What a source says in comments, and what its object lacks."""

from __future__ import annotations

import pytest

from mcverify.errors import InputError
from mcverify.image.image import Annotation, SourceLine
from mcverify.image.source import Source


def annotations(text):
    return [(a.key, a.value, a.where.line) for a in Source("x.S", text).annotations]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/* mcverify: contract bytes_left */", [("contract", "bytes_left", 1)]),
        ("/* expect: refuted O3 at .Lfix_w1 */", [("expect", "refuted O3 at .Lfix_w1", 1)]),
        ("\n// expect: proved\n", [("expect", "proved", 2)]),
        ("# expect: proved", [("expect", "proved", 1)]),
        ("ret # expect: proved", [("expect", "proved", 1)]),
        ("ret // mcverify: faults both  ", [("faults", "both", 1)]),
        (
            "/*\n * Some words.\n * mcverify: contract status\n * expect: proved\n */",
            [("contract", "status", 3), ("expect", "proved", 4)],
        ),
        ("/*mcverify:contract status*/", [("contract", "status", 1)]),
        ("/* mcverify: entry */", [("entry", "", 1)]),
        ("/* mcverify: len  0 .. 8 */", [("len", "0 .. 8", 1)]),
        ("#define X 1 /* expect: proved */", [("expect", "proved", 1)]),
        ("/* expect: a */ nop /* expect: b */", [("expect", "a", 1), ("expect", "b", 1)]),
        ("/* expect: open", [("expect", "open", 1)]),
    ],
)
def test_comments_addressed_to_us_are_found(text, found):
    assert annotations(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/* as we expect: nothing */",
        '.ascii "/* expect: proved */"',
        '.ascii "\\"/* expect: proved */"',
        "mcverify: nop",
        "/* mcverifyx: a b */",
        "#define expect: x",
    ],
)
def test_other_text_is_left_alone(text):
    assert annotations(text) == []


@pytest.mark.parametrize("text", ["/* mcverify: */", "/* expect: */", "// expect:"])
def test_a_comment_that_says_nothing_is_refused(text):
    with pytest.raises(
        InputError, match=r"^x\.S:2: the comment (mcverify|expect): says nothing .*`mcverify: KEY VALUE`"
    ):
        annotations("\n" + text)


def test_annotations_reach_the_image(load_text, tmp_path):
    image = load_text("/* mcverify: contract bytes_left */\ncopy:\tret\n", headers="")
    where = SourceLine(str(tmp_path / "routine.S"), 1)
    assert image.annotations == (Annotation("contract", "bytes_left", where),)


@pytest.mark.parametrize(
    "begin",
    [
        "ENTRY(copy)",
        "WEAK(copy)",
        "SYM_FUNC_START(copy)",
        "SYM_FUNC_START_LOCAL( copy )",
        "SYM_TYPED_FUNC_START(copy)",
        "SYM_CODE_START(copy)",
        "\t.type copy, @function",
        " .type copy,@function",
    ],
)
def test_a_routine_that_the_object_lacks_is_named_with_its_condition(begin):
    source = Source("x.S", f"#ifdef CONFIG_X86_MCE\n{begin}\n#endif\n")
    assert source.missing_routines({"other"}) == (
        "routine copy (x.S:2) is not in the object: it stands under #ifdef CONFIG_X86_MCE",
    )
    assert source.missing_routines({"copy"}) == ()


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("ENTRY(copy)", ""),
        ("#if A\n#endif\nENTRY(copy)", ""),
        ("#if A\n#else\nENTRY(copy)\n#endif", ": it stands under #else of #if A"),
        ("#ifndef A\n#if B > 1\nENTRY(copy)", ": it stands under #ifndef A and #if B > 1"),
        ("#if A\n#elif B\nENTRY(copy)\n", ": it stands under #elif B of #if A"),
        ("#endif\n#else\nENTRY(copy)\n", ": it stands under #else of #if"),
    ],
)
def test_the_condition_of_a_missing_routine(text, condition):
    (sentence,) = Source("x.S", text).missing_routines(())
    assert sentence.partition(" is not in the object")[2] == condition


def test_routines_in_comments_do_not_count():
    assert Source("x.S", "/*\nENTRY(copy)\n*/\n// ENTRY(copy)\n# ENTRY(copy)\n").missing_routines(()) == ()


def test_a_routine_under_an_unset_config_is_noted(load_text, tmp_path):
    hidden = "#ifdef CONFIG_OTHER\nENTRY(hidden)\n\tret\nENDPROC(hidden)\n#endif\n"
    text = hidden + "ENTRY(copy)\n\tret\nENDPROC(copy)\n"
    image = load_text(text)
    assert image.notes == (
        f"routine hidden ({tmp_path}/routine.S:4) is not in the object: it stands under #ifdef CONFIG_OTHER",
        "CONFIG_OTHER is taken as not set",
    )


def test_each_config_is_noted_once_and_those_in_comments_not_at_all(load_text):
    condition = "#if defined(CONFIG_X86_MCE) || defined(CONFIG_NO) || defined(CONFIG_X86_MCE)\n#endif\n"
    text = f"/* CONFIG_HERE */\n{condition}copy:\tret\n"
    assert load_text(text).notes == ("CONFIG_X86_MCE is taken as set", "CONFIG_NO is taken as not set")


def test_macros_with_instructions_of_our_own_are_listed_at_their_first_use():
    text = "#include <asm/thread_info.h>\n\tGET_THREAD_INFO(%rax)\n\tGET_THREAD_INFO(%rbx)\n"
    text += "/* ALIGN_DESTINATION */\n"
    assert Source("x.S", text).stand_ins == ("GET_THREAD_INFO (x.S:2)",)
    assert Source("x.S", "#define GET_THREAD_INFO(r) nop\n\tGET_THREAD_INFO(%rax)\n").stand_ins == ()


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("\tjmp mcsafe_handle_tail\n", 46),
        ("\tjmp copy_user_handle_tail\n\t_ASM_EXTABLE_UA(1b, 2b)\n", 46),
        ("\tCFI_STARTPROC\n\tASM_STAC\n\tjmp copy_user_handle_tail\n\t_ASM_EXTABLE(1b, 2b)\n", 45),
        ("\tCFI_STARTPROC\n\tjmp copy_user_handle_tail\n\t.quad 1b, 2b\n", 26),
        ("\tjmp copy_user_handle_tail\n\t.quad 1b, 2b\n", 26),
        ("\tjmp mcsafe_handle_tail\n\t_ASM_EXTABLE_TYPE(1b, 2b, EX_TYPE_DEFAULT)\n", 516),
        ("/* mcsafe_handle_tail */\n\t_ASM_EXTABLE(1b, 2b)\n", None),
        ("#define MCVERIFY_EXTABLE 45\n\tjmp mcsafe_handle_tail\n", None),
    ],
)
def test_the_era_is_what_macros_and_routines_in_c_show(text: str, layout: int | None) -> None:
    era = Source("copy.S", text).era
    assert (era.layout if era is not None else None) == layout
    assert era is None or all(word in text for word in era.shown)
