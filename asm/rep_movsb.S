/* SPDX-License-Identifier: MIT */
/*
 * One instruction. When a fault interrupts REP, rcx is the number of bytes
 * that were not copied (SDM vol. 2, REP): the fixup has nothing to compute.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: proved */
SYM_FUNC_START(rep_movsb)
	mov	%rdx, %rcx
.Lread_rep:
	rep movsb
	xor	%eax, %eax
	RET

.Lfix_rep:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread_rep, .Lfix_rep, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(rep_movsb)
