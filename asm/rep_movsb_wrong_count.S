/* SPDX-License-Identifier: MIT */
/*
 * rep_movsb.S whose fixup returns the number of bytes that were copied instead
 * of those that were not: too small in the first half of the buffer, too large in
 * the second.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O3 at .Lfix_rep */
/* expect: refuted O4 at .Lfix_rep */
SYM_FUNC_START(rep_movsb)
	mov	%rdx, %rcx
.Lread_rep:
	rep movsb
	xor	%eax, %eax
	RET

.Lfix_rep:
	mov	%rdx, %rax
	sub	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread_rep, .Lfix_rep, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(rep_movsb)
