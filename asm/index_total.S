/* SPDX-License-Identifier: MIT */
/*
 * The count is a difference: the total, kept in rdx from beginning to end,
 * less the index of the next byte. The loop over the last bytes has a counter
 * of its own, in a register of its own.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: proved */
SYM_FUNC_START(index_total)
	xor	%ecx, %ecx		/* rcx: bytes copied */
	mov	%rdx, %r8
	shr	$3, %r8			/* r8: words to go */
	jz	.Lrest
.Lread_w:
	mov	(%rsi,%rcx), %rax
	mov	%rax, (%rdi,%rcx)
	add	$8, %rcx
	dec	%r8
	jnz	.Lread_w
.Lrest:
	mov	%rdx, %r9
	and	$7, %r9			/* r9: bytes to go */
	jz	.Lall
.Lread_b:
	mov	(%rsi,%rcx), %al
	mov	%al, (%rdi,%rcx)
	inc	%rcx
	dec	%r9
	jnz	.Lread_b
.Lall:
	xor	%eax, %eax
	RET

.Lfix_w:
	mov	%rdx, %rax
	sub	%rcx, %rax
	RET
.Lfix_b:
	mov	%rdx, %rax
	sub	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread_w, .Lfix_w, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_b, .Lfix_b, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(index_total)
