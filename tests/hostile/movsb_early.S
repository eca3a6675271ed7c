/* SPDX-License-Identifier: MIT */
/*
 * The string move without a prefix, counted before it is done.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract uaccess */
/* expect: refuted O3 at .Lfix */
SYM_FUNC_START(movsb_early)
	mov	%rdx, %rcx
	test	%rcx, %rcx
	jz	.Lout
.Lnext:
	dec	%rcx
.Lmove:
	movsb
	jnz	.Lnext
.Lout:
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lmove, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(movsb_early)
