/* SPDX-License-Identifier: MIT */
/*
 * Takes dst for its stack while it copies: an interrupt would write there.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O7 at success */
/* unknown: rsp is where nobody knows */
SYM_FUNC_START(exchange_rsp)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	xchg	%rdi, %rsp
	xchg	%rdi, %rsp
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(exchange_rsp)
