/* SPDX-License-Identifier: MIT */
/*
 * Of a saved register only the lower half is restored.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O7 at .Lfix */
SYM_FUNC_START(saved_half)
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
	mov	8(%rsp), %ebx
	lea	16(%rsp), %rsp
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(saved_half)
