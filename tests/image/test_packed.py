"""What is compressed is unpacked: modules, and the kernel in a boot image."""

from __future__ import annotations

import bz2
import gzip
import lzma

import pytest
from backports import zstd

from mcverify.errors import InputError
from mcverify.image import packed
from mcverify.image.load import load

CODE = "\t.globl copy\n\t.type copy, @function\ncopy:\tret\n\t.size copy, .-copy\n"
FORMATS = {
    "gz": gzip.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "bz2": bz2.compress,
    "zst": zstd.compress,
}


@pytest.fixture
def vmlinux(make_object) -> bytes:
    return make_object(CODE, name="vmlinux", link=True).read_bytes()


def boot_image(payload: bytes, version: int = 0x020F, sectors: int = 2) -> bytes:
    """A bzImage as far as its header goes: Documentation/arch/x86/boot.rst."""
    head = bytearray((sectors + 1) * 512)
    head[0x1F1] = sectors
    head[0x202:0x206] = b"HdrS"
    head[0x206:0x208] = version.to_bytes(2, "little")
    head[0x248:0x24C] = (100).to_bytes(4, "little")
    return bytes(head) + bytes(100) + payload


@pytest.mark.parametrize("name", FORMATS)
def test_a_compressed_file_is_unpacked(tmp_path, vmlinux, name):
    path = tmp_path / f"vmlinux.{name}"
    path.write_bytes(FORMATS[name](vmlinux))
    image = load(path)
    assert [s.name for s in image.functions] == ["copy"]
    assert image.packed


@pytest.mark.parametrize("name", FORMATS)
def test_the_kernel_in_a_boot_image_is_found(tmp_path, vmlinux, name):
    path = tmp_path / "vmlinuz"
    path.write_bytes(boot_image(FORMATS[name](vmlinux) + b"size"))
    assert [s.name for s in load(path).functions] == ["copy"]


@pytest.mark.parametrize(("magic", "name"), [(b"\x89LZO\0\r\n", "lzo"), (b"\x02\x21\x4c\x18", "lz4")])
def test_what_no_library_unpacks_is_said(tmp_path, magic, name):
    path = tmp_path / "vmlinuz"
    path.write_bytes(boot_image(magic + bytes(100)))
    with pytest.raises(InputError, match=f"packed with {name}, which .*extract-vmlinux"):
        load(path)


def test_an_old_boot_image_does_not_say_where_its_kernel_is(tmp_path):
    path = tmp_path / "vmlinuz"
    path.write_bytes(boot_image(gzip.compress(b""), version=0x0207))
    with pytest.raises(InputError, match=r"protocol 2\.07 does not say where its kernel is"):
        load(path)


def test_a_boot_image_with_something_else_in_it_is_refused(tmp_path):
    path = tmp_path / "vmlinuz"
    path.write_bytes(boot_image(b"nothing known"))
    with pytest.raises(InputError, match="packed in no known way"):
        load(path)


@pytest.mark.parametrize("name", FORMATS)
def test_damage_and_a_cut_are_said(tmp_path, vmlinux, name):
    data = FORMATS[name](vmlinux)
    path = tmp_path / "vmlinux"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="cut off: its .* stream has no end|stream is damaged"):
        load(path)
    path.write_bytes(data[: len(data) // 2] + b"\xff" * 40 + data[len(data) // 2 + 40 :])
    with pytest.raises(InputError, match="stream is damaged|stream has no end"):
        load(path)


@pytest.mark.parametrize("name", FORMATS)
def test_what_grows_without_measure_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.setattr(packed, "_LARGEST", 1 << 20)
    path = tmp_path / "vmlinux"
    path.write_bytes(FORMATS[name](bytes(8 << 20)))
    with pytest.raises(InputError, match="unpacked it has more than 1048576 bytes"):
        load(path)


def test_something_else_that_was_compressed_is_no_input(tmp_path):
    path = tmp_path / "notes.gz"
    path.write_bytes(gzip.compress(b"hello"))
    with pytest.raises(InputError, match="neither assembly nor an ELF file"):
        load(path)
