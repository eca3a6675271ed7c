/* SPDX-License-Identifier: MIT */
/*
 * index_up.S whose fixup returns the index as it stands, below zero: as an
 * unsigned count, close to 2^64.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O2 at .Lfix_b */
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
	RET

	_ASM_EXTABLE_TYPE(.Lread_b, .Lfix_b, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(index_up)
