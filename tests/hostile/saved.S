/* SPDX-License-Identifier: MIT */
/*
 * Saved registers are restored on both paths, in one of them from their places.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: proved */
SYM_FUNC_START(saved)
	push	%rbx
	push	%rbp
	mov	%rdx, %rcx
	mov	%rdx, %rbx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	pop	%rbp
	pop	%rbx
	RET
.Lfix:
	mov	%rcx, %rax
	mov	(%rsp), %rbp
	mov	8(%rsp), %rbx
	lea	16(%rsp), %rsp
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(saved)
