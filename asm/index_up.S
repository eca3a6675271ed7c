/* SPDX-License-Identifier: MIT */
/*
 * One register for everything: both pointers stand behind their buffers and
 * an index rises from -len to zero. What is missing is the index, negated.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: proved */
SYM_FUNC_START(index_up)
	add	%rdx, %rsi
	add	%rdx, %rdi
	neg	%rdx
	jz	.Lall
.Lread_b:
	mov	(%rsi,%rdx), %al
	mov	%al, (%rdi,%rdx)
	inc	%rdx
	jnz	.Lread_b
.Lall:
	xor	%eax, %eax
	RET

.Lfix_b:
	mov	%rdx, %rax
	neg	%rax
	RET

	_ASM_EXTABLE_TYPE(.Lread_b, .Lfix_b, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(index_up)
