/* SPDX-License-Identifier: MIT */
/*
 * retry_moved.S that does not take the source pointer back: after a fault at the
 * second load of a pair up to seven bytes are copied from eight bytes too far.
 * The count is exact, and the data are wrong. Where the bad page comes back, bytes
 * are read from behind the source too.
 *
 * The user copy of metag retried from a source pointer that had moved on:
 * 2c0b1df88b98.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O6 at .Lfix_b */
/* expect: refuted O8 at .Lread_b */
SYM_FUNC_START(retry_moved)
	cmp	$16, %rdx
	jb	.Lrest
.Lread_w0:
	mov	(%rsi), %rax
	add	$8, %rsi
.Lread_w1:
	mov	(%rsi), %rcx
	add	$8, %rsi
	mov	%rax, (%rdi)
	mov	%rcx, 8(%rdi)
	add	$16, %rdi
	sub	$16, %rdx		/* rdx: bytes to go */
	cmp	$16, %rdx
	jae	.Lread_w0
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

.Lfix_w0:
	jmp	.Lread_b
.Lfix_w1:
	jmp	.Lread_b
.Lfix_b:
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread_w0, .Lfix_w0, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_w1, .Lfix_w1, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_b, .Lfix_b, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(retry_moved)
