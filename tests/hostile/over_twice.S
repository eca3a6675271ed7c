/* SPDX-License-Identifier: MIT */
/*
 * Each byte is stored twice, wrong and then right: a fault between finds all
 * right.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: proved */
SYM_FUNC_START(over_twice)
	test	%rdx, %rdx
	jz	.Lout
.Lread:
	mov	(%rsi), %al
	movb	$0, (%rdi)
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rdx
	jnz	.Lread
.Lout:
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread, .Lout, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(over_twice)
