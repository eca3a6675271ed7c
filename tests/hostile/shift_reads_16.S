/* SPDX-License-Identifier: MIT */
/*
 * Blocks of 8 bytes, and before each a shift by the 8 bytes there: its operand has
 * 16, of which the last 8 lie behind the source.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O8 at * */
/* unknown: decoders do not agree on what it reads */
SYM_FUNC_START(shift_reads_16)
	mov	%rdx, %rcx
	cmp	$8, %rdx
	jb	.Lbytes
.Lshift:
	psrlq	(%rsi), %xmm0
.Lbytes:
.Lread:
	rep movsb
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lshift, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(shift_reads_16)
