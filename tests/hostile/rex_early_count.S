/* SPDX-License-Identifier: MIT */
/*
 * The fixup of a right copy writes "0 left" with a REX prefix too early: a CPU
 * clears dl where a decoder sees r10b, and the count rests on it.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O3 at .Lfix */
SYM_FUNC_START(rex_early_count)
	mov	%rdx, %rcx
.Lread:
	rep movsb
	xor	%eax, %eax
	RET
.Lfix:
	.byte	0x41, 0x2e, 0xb1, 0x00
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(rex_early_count)
