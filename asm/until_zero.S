/* SPDX-License-Identifier: MIT */
/*
 * Copies a string up to its zero byte, or as many bytes as there is room for, and
 * returns how many lie before the zero byte.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract copy_string */
/* expect: proved */
SYM_FUNC_START(until_zero)
	mov	%rdx, %rcx
	test	%rcx, %rcx
	jz	.Lfull
.Lread:
	movzbl	(%rsi), %eax
	mov	%al, (%rdi)
	test	%al, %al
	jz	.Lend
	inc	%rsi
	inc	%rdi
	dec	%rcx
	jnz	.Lread
.Lfull:
	mov	%rdx, %rax
	RET
.Lend:
	mov	%rdx, %rax
	sub	%rcx, %rax
	RET

.Lfix_read:
	mov	$-14, %rax
	RET

	_ASM_EXTABLE_UA(.Lread, .Lfix_read)
SYM_FUNC_END(until_zero)
