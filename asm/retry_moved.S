/* SPDX-License-Identifier: MIT */
/*
 * Two loads, then two stores, the source pointer moving with every load as on
 * a machine with post-increment. A fault at the second load finds it eight
 * bytes ahead of the destination: it goes back before bytes are tried.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: proved */
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
	sub	$8, %rsi
	jmp	.Lread_b
.Lfix_b:
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread_w0, .Lfix_w0, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_w1, .Lfix_w1, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_b, .Lfix_b, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(retry_moved)
