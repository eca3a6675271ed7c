/* SPDX-License-Identifier: MIT */
/*
 * Stores through a pointer that is kept on the stack and moves there.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: proved */
SYM_FUNC_START(slot_pointer)
	push	%rdi
	test	%rdx, %rdx
	jz	.Lout
.Lread:
	mov	(%rsi), %al
	mov	(%rsp), %r8
	mov	%al, (%r8)
	inc	%rsi
	incq	(%rsp)
	dec	%rdx
	jnz	.Lread
.Lout:
	xor	%eax, %eax
	pop	%r8
	RET
.Lfix:
	mov	%rdx, %rax
	pop	%r8
	RET

	_ASM_EXTABLE_TYPE(.Lread, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(slot_pointer)
