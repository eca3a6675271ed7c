/* SPDX-License-Identifier: MIT */
/*
 * Copies a string up to its zero byte, or as many bytes as there is room for. After
 * a fault it returns what was copied so far, as if the string ended there.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract copy_string */
/* expect: refuted O9 at .Lfix_read */
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
	mov	%rdx, %rax
	sub	%rcx, %rax
	RET

	_ASM_EXTABLE_UA(.Lread, .Lfix_read)
SYM_FUNC_END(until_zero)
