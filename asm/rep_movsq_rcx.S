/* SPDX-License-Identifier: MIT */
/*
 * rep movsq for the words, bytes for the rest, length and count in rcx. The
 * two parts of the count lie in two registers of which one is to be scaled.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left_rcx */
/* expect: proved */
SYM_FUNC_START(rep_movsq_rcx)
	mov	%ecx, %eax
	and	$7, %eax		/* rax: bytes behind the last word */
	shr	$3, %rcx		/* rcx: words to go */
.Lread_q:
	rep movsq
	mov	%eax, %ecx
.Lread_b:
	rep movsb
	RET

.Lfix_q:
	lea	(%rax,%rcx,8), %rcx
	RET
.Lfix_b:
	RET

	_ASM_EXTABLE_TYPE(.Lread_q, .Lfix_q, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_b, .Lfix_b, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(rep_movsq_rcx)
