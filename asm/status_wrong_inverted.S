/* SPDX-License-Identifier: MIT */
/*
 * status.S with true for success and false for failure, where zero means that all
 * is well.
 *
 * memcpy_mcsafe() as it came with 92b0729c34ca (4.6) promised a bool, true for
 * success, and returned its opposite.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract status */
/* expect: refuted O9 at success */
/* expect: refuted O9 at .Lfix_any */
SYM_FUNC_START(status)
	mov	%rdx, %rcx
	and	$31, %edx
	shr	$5, %rcx
	jz	.Lrest
.Lread_q0:
	mov	(%rsi), %r8
.Lread_q1:
	mov	8(%rsi), %r9
.Lread_q2:
	mov	16(%rsi), %r10
.Lread_q3:
	mov	24(%rsi), %r11
	mov	%r8, (%rdi)
	mov	%r9, 8(%rdi)
	mov	%r10, 16(%rdi)
	mov	%r11, 24(%rdi)
	lea	32(%rsi), %rsi
	lea	32(%rdi), %rdi
	dec	%rcx
	jnz	.Lread_q0
.Lrest:
	test	%edx, %edx
	jz	.Lall
.Lread_b:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%edx
	jnz	.Lread_b
.Lall:
	mov	$1, %eax
	RET

.Lfix_any:
	xor	%eax, %eax
	RET

	_ASM_EXTABLE_FAULT(.Lread_q0, .Lfix_any)
	_ASM_EXTABLE_FAULT(.Lread_q1, .Lfix_any)
	_ASM_EXTABLE_FAULT(.Lread_q2, .Lfix_any)
	_ASM_EXTABLE_FAULT(.Lread_q3, .Lfix_any)
	_ASM_EXTABLE_FAULT(.Lread_b, .Lfix_any)
SYM_FUNC_END(status)
