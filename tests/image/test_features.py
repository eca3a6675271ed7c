"""What the features of alternatives are called, in kernels of all ages."""

from __future__ import annotations

import pytest

from mcverify.image import features
from mcverify.image.features import anywhere, of_stand_ins, of_version, of_versions, table, version_of

LFENCE_RDTSC = 3 * 32 + 18  # up to 6.3; then 20*32+2, and this is CLEAR_CPU_BUF


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (9 * 32 + 9, "ERMS"),
        (3 * 32 + 16, "REP_GOOD"),  # not in 2.6.18, which has IDA there
        (3 * 32 + 21, "ALWAYS"),
        (18 * 32 + 4, "FSRM"),  # a bug in kernels that have 18 words
        (20 * 32 + 2, "LFENCE_RDTSC"),
        (LFENCE_RDTSC, "3*32+18"),
        (24 * 32 + 1, "24*32+1"),
        (4 * 32 + 28, "AVX"),
    ],
)
def test_a_name_is_one_for_all_kernels_or_none(number, name):
    assert anywhere(number) == name


@pytest.mark.parametrize(
    ("version", "number", "name"),
    [
        ("6.1.0-37-amd64", LFENCE_RDTSC, "LFENCE_RDTSC"),
        ("6.14", LFENCE_RDTSC, "CLEAR_CPU_BUF"),
        ("6.6.30", LFENCE_RDTSC, None),  # between two that differ
        ("7.3.0-rc7", 20 * 32 + 2, "LFENCE_RDTSC"),
        ("8.0", 20 * 32 + 2, "LFENCE_RDTSC"),
        ("2.6.18", 3 * 32 + 4, "REP_GOOD"),
        ("2.6.12", 3 * 32 + 4, "K8_C"),
        ("2.6.32-642.el6.x86_64", 3 * 32 + 21, "AMDC1E"),
        ("2.6.39", 3 * 32 + 21, None),
        ("5.10.0-43-cloud-amd64", 23 * 32 + 11, "BUG_SWAPGS_FENCE"),
    ],
)
def test_a_kernel_has_the_names_of_its_age(version, number, name):
    assert of_version(version)(number) == name


def test_an_object_has_the_names_that_all_kernels_of_its_layout_agree_on():
    assert of_versions("6.3", None)(9 * 32 + 9) == "ERMS"
    assert of_versions("6.3", None)(LFENCE_RDTSC) is None
    assert of_versions("3.1", "4.0")(LFENCE_RDTSC) == "LFENCE_RDTSC"


def test_a_bit_that_a_vendor_uses_for_something_else_is_not_called_by_the_common_name():
    """RHEL 6 has AMDC1E where later kernels have ALWAYS, which stands on every CPU."""
    assert features.named(3 * 32 + 21, of_version("2.6.32-642.el6")) == ("3*32+21", "AMDC1E")
    assert features.named(3 * 32 + 21, of_version("6.1")) == ("ALWAYS", "ALWAYS")


@pytest.mark.parametrize(
    ("data", "version"),
    [
        (b"\0Linux version 5.10.0-43-cloud-amd64 (gcc-10)\0", "5.10.0-43-cloud-amd64"),
        (b"license=GPL\0vermagic=6.12.9+bpo-amd64 SMP preempt mod_unload \0", "6.12.9+bpo-amd64"),
        (b"Linux version of our own", None),
    ],
)
def test_a_linked_file_says_its_version(data, version):
    assert version_of(data) == version


# -- the stand-ins


def test_the_stand_in_header_is_made_of_the_table():
    assert features.HEADER.read_text() == features.render_header(table())


def test_two_names_of_the_stand_ins_are_two_features():
    numbers = features.stand_in_numbers()
    for one, other in (("MFENCE_RDTSC", "AMD_LBR_V2"), ("P3", "ZEN6"), ("ALWAYS", "AMDC1E")):
        assert numbers[one] != numbers[other]
    assert max(numbers.values()) < 1 << 15  # the layout of 5.13 has a bit for something else above


@pytest.mark.parametrize("name", [row.name for row in table().rows][::7])
def test_a_source_is_shown_its_own_names(name):
    macro = f"X86_{name}" if name.startswith("BUG_") else f"X86_FEATURE_{name}"
    assert of_stand_ins(f'ALTERNATIVE "", "", {macro}')(features.stand_in_numbers()[name]) == name


def test_a_source_of_any_age_assembles(load_text):
    names = ["AVX", "AVX2", "AVX512F", "CLFLSH", "K8_C", "RETPOLINE_AMD", "RDSEED", "APX", "SYSFAST32"]
    uses = "".join(f'\tALTERNATIVE "int3", "nop", X86_FEATURE_{name}\n' for name in names)
    image = load_text(
        f"copy:\n{uses}\tret\n", headers="#include <asm/cpufeature.h>\n#include <asm/alternative.h>\n"
    )
    assert [a.shown for a in image.alternatives] == names
