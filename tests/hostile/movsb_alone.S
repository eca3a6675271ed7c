/* SPDX-License-Identifier: MIT */
/*
 * The string move without a prefix: load and store of one instruction.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract uaccess */
/* expect: proved */
SYM_FUNC_START(movsb_alone)
	mov	%rdx, %rcx
	test	%rcx, %rcx
	jz	.Lout
.Lmove:
	movsb
	dec	%rcx
	jnz	.Lmove
.Lout:
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lmove, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(movsb_alone)
