/* SPDX-License-Identifier: MIT */
/*
 * Blocks of 32 bytes, two words at a time. A fault anywhere in a block starts
 * the block again byte by byte, so that every good byte is copied. After a
 * fault in the second half, sixteen bytes behind the pointers are in place
 * already: the count is exact only because a bad byte stays bad.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract uaccess */
/* mcverify: faults loads */
/* expect: proved */
SYM_FUNC_START(byte_retry)
	cmp	$32, %rdx
	jb	.Lrest
.Lread_q0:
	mov	(%rsi), %r8
.Lread_q1:
	mov	8(%rsi), %r9
	mov	%r8, (%rdi)
	mov	%r9, 8(%rdi)
.Lread_q2:
	mov	16(%rsi), %r10
.Lread_q3:
	mov	24(%rsi), %r11
	mov	%r10, 16(%rdi)
	mov	%r11, 24(%rdi)
	add	$32, %rsi
	add	$32, %rdi
	sub	$32, %rdx		/* rdx: bytes to go, this block included */
	cmp	$32, %rdx
	jae	.Lread_q0
.Lrest:
	test	%rdx, %rdx
	jz	.Lall
.Lread_b:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rdx
	jnz	.Lread_b
.Lall:
	xor	%eax, %eax
	RET

.Lfix_block:
	jmp	.Lread_b
.Lfix_b:
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE_UA(.Lread_q0, .Lfix_block)
	_ASM_EXTABLE_UA(.Lread_q1, .Lfix_block)
	_ASM_EXTABLE_UA(.Lread_q2, .Lfix_block)
	_ASM_EXTABLE_UA(.Lread_q3, .Lfix_block)
	_ASM_EXTABLE_UA(.Lread_b, .Lfix_b)
SYM_FUNC_END(byte_retry)
