"""Files within files: a compressed module or vmlinux, and the kernel in a boot image (vmlinuz, bzImage)."""

from __future__ import annotations

import bz2
import io
import lzma
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from mcverify.errors import InputError

_LARGEST = 1 << 30
"""Bytes of an unpacked file at most: a kernel with debug information has half of it."""

_CHUNK = 1 << 20
_HEAD = 0x260

# Documentation/arch/x86/boot.rst: the header's magic; payload_offset is there from 2.08 on.
_BOOT_MAGIC_AT, _BOOT_MAGIC = 0x202, b"HdrS"
_VERSION_AT, _SETUP_SECTORS_AT, _PAYLOAD_AT = 0x206, 0x1F1, 0x248
_FIRST_VERSION = 0x0208
_SECTOR = 512
_DEFAULT_SETUP_SECTORS = 4

_EXTRACT = "unpack it first, for a kernel with scripts/extract-vmlinux of its source"


class _Gzip:
    """zlib's decompressor for gzip, with the methods that those of the other modules have."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        """Whether the end of the stream has been read."""
        return self._inner.eof

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """At most `max_length` bytes more."""
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)

    @property
    def needs_input(self) -> bool:
        """Whether nothing more can be had without more input."""
        return not self._inner.unconsumed_tail


def _zstd() -> Any:
    from backports.zstd import ZstdDecompressor

    return ZstdDecompressor()


@dataclass(frozen=True, slots=True)
class _Packing:
    """A format of compression; `open` gives a decompressor, None where no library here has one."""

    name: str
    magic: bytes
    open: Callable[[], Any] | None


# The formats of scripts/extract-vmlinux.
_PACKINGS = (
    _Packing("gzip", b"\x1f\x8b\x08", _Gzip),
    _Packing("xz", b"\xfd7zXZ\0", lzma.LZMADecompressor),
    _Packing("bzip2", b"BZh", bz2.BZ2Decompressor),
    _Packing("lzma", b"\x5d\0\0", lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE)),
    _Packing("zstd", b"\x28\xb5\x2f\xfd", _zstd),
    _Packing("lzo", b"\x89LZO", None),
    _Packing("lz4", b"\x02\x21\x4c\x18", None),
)


def unpacked(file: BinaryIO, where: str) -> BinaryIO:
    """What `file` holds: the file itself, or what was compressed in it, in memory.

    Raises InputError, located at `where`, for what is damaged, too large, or packed in a way that no library
    here unpacks.
    """
    head = _head(file)
    if head[_BOOT_MAGIC_AT : _BOOT_MAGIC_AT + 4] == _BOOT_MAGIC:
        start = _payload(head, where)
        file.seek(start)
        packing = _packing_of(file.read(8))
        if packing is None:
            raise InputError("the kernel in this boot image is packed in no known way", where=where)
    else:
        start, packing = 0, _packing_of(head)
    if packing is None:
        file.seek(0)
        return file
    if packing.open is None:
        message = f"it is packed with {packing.name}, which mcverify cannot unpack"
        raise InputError(message, where=where, hint=_EXTRACT)
    file.seek(start)
    return _unpack(file, packing.open(), packing.name, where)


def _head(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read(_HEAD)


def _packing_of(data: bytes) -> _Packing | None:
    return next((p for p in _PACKINGS if data.startswith(p.magic)), None)


def _payload(head: bytes, where: str) -> int:
    """Where the compressed kernel of a boot image begins."""
    version = int.from_bytes(head[_VERSION_AT : _VERSION_AT + 2], "little")
    if version < _FIRST_VERSION or len(head) < _HEAD:
        message = (
            f"a boot image of protocol {version >> 8}.{version & 0xFF:02} does not say where its kernel is"
        )
        raise InputError(message, where=where, hint=_EXTRACT)
    sectors = head[_SETUP_SECTORS_AT] or _DEFAULT_SETUP_SECTORS
    (offset,) = struct.unpack_from("<I", head, _PAYLOAD_AT)
    return int((sectors + 1) * _SECTOR + offset)


def _unpack(file: BinaryIO, decompressor: Any, name: str, where: str) -> BinaryIO:
    """The first stream; what lies behind it is not looked at (the boot image's loader)."""
    out = io.BytesIO()
    try:
        while not decompressor.eof:
            data = file.read(_CHUNK) if decompressor.needs_input else b""
            if not data and decompressor.needs_input:
                raise InputError(f"it is cut off: its {name} stream has no end", where=where)
            out.write(decompressor.decompress(data, _CHUNK))
            if out.tell() > _LARGEST:
                raise InputError(f"unpacked it has more than {_LARGEST} bytes", where=where)
    except InputError:
        raise
    except Exception as error:  # each library has errors of its own
        raise InputError(f"its {name} stream is damaged: {error}", where=where) from error
    out.seek(0)
    return out
