/* SPDX-License-Identifier: MIT */
/*
 * After a fault a routine in C is called with a register of the caller's saved
 * around it on the stack, and its count is returned: right.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract uaccess_rcx */
/* mcverify: faults loads */
/* expect: proved */
SYM_FUNC_START(tail_called)
	test	%rcx, %rcx
	jz	.Lall
.Lread_b:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rcx
	jnz	.Lread_b
.Lall:
	RET

.Lfix_b:
	push	%rdx
	mov	%rcx, %rdx
	call	copy_mc_fragile_handle_tail
	mov	%rax, %rcx
	pop	%rdx
	RET

	_ASM_EXTABLE(.Lread_b, .Lfix_b)
SYM_FUNC_END(tail_called)
