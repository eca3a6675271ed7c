/* SPDX-License-Identifier: MIT */
/*
 * Writes back the line of the last byte, if there is one.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* mcverify: faults both */
/* expect: proved */
/* hostile: fault-model persistent */
SYM_FUNC_START(hint_last)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	test	%rdx, %rdx
	jz	.Lout
	clwb	-1(%rdi)
.Lout:
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(hint_last)
