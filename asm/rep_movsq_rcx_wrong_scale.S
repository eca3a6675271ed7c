/* SPDX-License-Identifier: MIT */
/*
 * rep_movsq_rcx.S whose fixup scales the bytes and not the words. Seven bytes and
 * one word make 57, one byte and seven words 15: too many, or too few, or more
 * than the length itself.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left_rcx */
/* expect: refuted O2 at .Lfix_q */
/* expect: refuted O3 at .Lfix_q */
/* expect: refuted O4 at .Lfix_q */
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
	lea	(%rcx,%rax,8), %rcx
	RET
.Lfix_b:
	RET

	_ASM_EXTABLE_TYPE(.Lread_q, .Lfix_q, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_b, .Lfix_b, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(rep_movsq_rcx)
