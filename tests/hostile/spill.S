/* SPDX-License-Identifier: MIT */
/*
 * Its pointers live on the stack and move there; right.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: proved */
SYM_FUNC_START(spill)
	push	%rsi
	push	%rdi
	test	%rdx, %rdx
	jz	.Lout
.Lread0:
	mov	8(%rsp), %r8
	mov	(%rsp), %r9
.Lread:
	mov	(%r8), %al
	mov	%al, (%r9)
	incq	8(%rsp)
	incq	(%rsp)
	dec	%rdx
	jnz	.Lread0
.Lout:
	pop	%rdi
	pop	%rsi
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread, .Lout, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(spill)
