/* SPDX-License-Identifier: MIT */
/*
 * Clear user memory by words wherever they lie, then the bytes behind them. A
 * word is cleared whole or not at all: up to seven good bytes before the bad
 * one are reported left, even those at the very start.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract clear_words */
/* mcverify: faults stores */
/* expect: proved */
SYM_FUNC_START(clear_early)
	mov	%rcx, %r9
	and	$7, %ecx		/* rcx: bytes behind the last word */
	shr	$3, %r9			/* r9: words to go */
	jz	.Lrest
.Lwrite_w:
	mov	%rax, (%rdi)
	add	$8, %rdi
	dec	%r9
	jnz	.Lwrite_w
.Lrest:
	test	%rcx, %rcx
	jz	.Lall
.Lwrite_b:
	mov	%al, (%rdi)
	inc	%rdi
	dec	%rcx
	jnz	.Lwrite_b
.Lall:
	RET

.Lfix_w:
	lea	(%rcx,%r9,8), %rcx
	RET
.Lfix_b:
	RET

	_ASM_EXTABLE_UA(.Lwrite_w, .Lfix_w)
	_ASM_EXTABLE_UA(.Lwrite_b, .Lfix_b)
SYM_FUNC_END(clear_early)
