/* SPDX-License-Identifier: MIT */
/*
 * byte_retry.S that leaves out the retry for the second half of a block and
 * returns the bytes to go, this block included: sixteen of them are stored past
 * the claim, and in the first block a count of len says that there was no
 * progress.
 *
 * Since 3376136300a0 (5.17) the x86-64 user copy returns its first count after a
 * machine check, rounded to the block, and tries no further.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract uaccess */
/* mcverify: faults loads */
/* expect: refuted O4 at .Lfix_half */
/* expect: refuted O5 at .Lfix_half */
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
.Lfix_half:
	mov	%rdx, %rax
	RET
.Lfix_b:
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE_UA(.Lread_q0, .Lfix_block)
	_ASM_EXTABLE_UA(.Lread_q1, .Lfix_block)
	_ASM_EXTABLE_UA(.Lread_q2, .Lfix_half)
	_ASM_EXTABLE_UA(.Lread_q3, .Lfix_half)
	_ASM_EXTABLE_UA(.Lread_b, .Lfix_b)
SYM_FUNC_END(byte_retry)
