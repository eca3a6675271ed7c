"""Write a copy routine with N block loops, one behind the other: the same work in more code.

Each loop copies two of the blocks that are left (the last one all of them) as four loads, four
stores, four loads, four stores; a byte loop copies the rest. rdx counts what is left.

Usage: blocks.py N > blocks.S
"""

from __future__ import annotations

import sys

HEAD = """\
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
SYM_FUNC_START(copy_blocks)
"""

TAIL = """\
\ttest\t%rdx, %rdx
\tjz\t.Lall
.Lread_t:
\tmov\t(%rsi), %al
\tmov\t%al, (%rdi)
\tinc\t%rsi
\tinc\t%rdi
\tdec\t%rdx
\tjnz\t.Lread_t
.Lall:
\txor\t%eax, %eax
\tRET
.Lleft:
\tmov\t%rdx, %rax
\tRET
.Lleft_32:
\tlea\t-32(%rdx), %rax
\tRET
\t_ASM_EXTABLE(.Lread_t, .Lleft)
"""


def source(copies: int) -> str:
    """The whole file for `copies` block loops."""
    loops = "".join(_loop(n, is_last=n == copies - 1) for n in range(copies))
    return HEAD + loops + TAIL + "".join(map(_entries, range(copies))) + "SYM_FUNC_END(copy_blocks)\n"


def _loop(n: int, *, is_last: bool) -> str:
    if is_last:
        blocks = f".Llast:\n\tmov\t%rdx, %rcx\n\tshr\t$6, %rcx\n\tjz\t.Lskip_{n}\n"
    else:
        blocks = "\tcmp\t$128, %rdx\n\tjb\t.Llast\n\tmov\t$2, %ecx\n"
    lines = [f"{blocks}.Lblock_{n}:\n"]
    for half in (0, 32):
        lines += [f".Lread_{n}_{half + 8 * i}:\n\tmov\t{half + 8 * i}(%rsi), %r{8 + i}\n" for i in range(4)]
        lines += [f"\tmov\t%r{8 + i}, {half + 8 * i}(%rdi)\n" for i in range(4)]
    lines.append("\tadd\t$64, %rsi\n\tadd\t$64, %rdi\n\tsub\t$64, %rdx\n")
    skipped = f".Lskip_{n}:\n" if is_last else ""
    lines.append(f"\tdec\t%rcx\n\tjnz\t.Lblock_{n}\n{skipped}")
    return "".join(lines)


def _entries(n: int) -> str:
    return "".join(
        f"\t_ASM_EXTABLE(.Lread_{n}_{at}, {'.Lleft' if at < 32 else '.Lleft_32'})\n" for at in range(0, 64, 8)
    )


if __name__ == "__main__":
    sys.stdout.write(source(int(sys.argv[1])))
