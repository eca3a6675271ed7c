/* SPDX-License-Identifier: MIT */
/*
 * user_rcx.S whose byte loop counts a byte between its load and its store: if the
 * store faults, the byte has been counted and is not there.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract uaccess_rcx */
/* mcverify: faults both */
/* expect: refuted O3 at .Lfix_write_b */
SYM_FUNC_START(user_rcx)
	cmp	$64, %rcx
	jb	.Lwords
.Lread_q0:
	mov	(%rsi), %r8
.Lread_q1:
	mov	8(%rsi), %r9
.Lread_q2:
	mov	16(%rsi), %r10
.Lread_q3:
	mov	24(%rsi), %r11
.Lwrite_q0:
	mov	%r8, (%rdi)
.Lwrite_q1:
	mov	%r9, 8(%rdi)
.Lwrite_q2:
	mov	%r10, 16(%rdi)
.Lwrite_q3:
	mov	%r11, 24(%rdi)
.Lread_q4:
	mov	32(%rsi), %r8
.Lread_q5:
	mov	40(%rsi), %r9
.Lread_q6:
	mov	48(%rsi), %r10
.Lread_q7:
	mov	56(%rsi), %r11
.Lwrite_q4:
	mov	%r8, 32(%rdi)
.Lwrite_q5:
	mov	%r9, 40(%rdi)
.Lwrite_q6:
	mov	%r10, 48(%rdi)
.Lwrite_q7:
	mov	%r11, 56(%rdi)
	add	$64, %rsi
	add	$64, %rdi
	sub	$64, %rcx
	cmp	$64, %rcx
	jae	.Lread_q0
.Lwords:
	cmp	$8, %rcx
	jb	.Lrest
.Lread_w:
	mov	(%rsi), %rax
.Lwrite_w:
	mov	%rax, (%rdi)
	add	$8, %rsi
	add	$8, %rdi
	sub	$8, %rcx
	cmp	$8, %rcx
	jae	.Lread_w
.Lrest:
	test	%rcx, %rcx
	jz	.Lall
.Lread_b:
	mov	(%rsi), %al
	dec	%rcx
.Lwrite_b:
	mov	%al, (%rdi)
	lea	1(%rsi), %rsi
	lea	1(%rdi), %rdi
	jnz	.Lread_b
.Lall:
	RET

.Lfix_block:
	jmp	.Lread_w
.Lfix_w:
	jmp	.Lread_b
.Lfix_read_b:
	RET
.Lfix_write_b:
	RET

	_ASM_EXTABLE_UA(.Lread_q0, .Lfix_block)
	_ASM_EXTABLE_UA(.Lread_q1, .Lfix_block)
	_ASM_EXTABLE_UA(.Lread_q2, .Lfix_block)
	_ASM_EXTABLE_UA(.Lread_q3, .Lfix_block)
	_ASM_EXTABLE_UA(.Lwrite_q0, .Lfix_block)
	_ASM_EXTABLE_UA(.Lwrite_q1, .Lfix_block)
	_ASM_EXTABLE_UA(.Lwrite_q2, .Lfix_block)
	_ASM_EXTABLE_UA(.Lwrite_q3, .Lfix_block)
	_ASM_EXTABLE_UA(.Lread_q4, .Lfix_block)
	_ASM_EXTABLE_UA(.Lread_q5, .Lfix_block)
	_ASM_EXTABLE_UA(.Lread_q6, .Lfix_block)
	_ASM_EXTABLE_UA(.Lread_q7, .Lfix_block)
	_ASM_EXTABLE_UA(.Lwrite_q4, .Lfix_block)
	_ASM_EXTABLE_UA(.Lwrite_q5, .Lfix_block)
	_ASM_EXTABLE_UA(.Lwrite_q6, .Lfix_block)
	_ASM_EXTABLE_UA(.Lwrite_q7, .Lfix_block)
	_ASM_EXTABLE_UA(.Lread_w, .Lfix_w)
	_ASM_EXTABLE_UA(.Lwrite_w, .Lfix_w)
	_ASM_EXTABLE_UA(.Lread_b, .Lfix_read_b)
	_ASM_EXTABLE_UA(.Lwrite_b, .Lfix_write_b)
SYM_FUNC_END(user_rcx)
