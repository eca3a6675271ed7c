/* SPDX-License-Identifier: MIT */
/*
 * Returns at once where another section lies before this one, which only the linker
 * knows: an instruction holds the distance as a number.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O3 at success */
/* expect: refuted O9 at success */
/* unknown: where the other section lies is not known before it is linked */
SYM_FUNC_START(distance)
	mov	%rdx, %rcx
	.byte	0xb8
	.long	elsewhere - .
	test	%eax, %eax
	js	.Lout
.Lread:
	rep movsb
.Lout:
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(distance)

	.section .text.elsewhere, "ax"
elsewhere:
	nop
