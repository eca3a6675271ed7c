/* SPDX-License-Identifier: MIT */
/*
 * pushed.S whose fixup of the byte loop is that of the block: it pops registers
 * which were popped already, or never pushed, and returns to a caller's datum.
 *
 * The user copy of sh had a fixup for "registers pushed" on a path without:
 * 5d52013cbb3d (2008).
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O7 at .Lfix_b */
SYM_FUNC_START(pushed)
	mov	%rdx, %rcx
	and	$31, %edx		/* rdx: bytes behind the last block */
	shr	$5, %rcx		/* rcx: blocks to go */
	jz	.Lrest
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
.Lread_q0:
	mov	(%rsi), %rbx
.Lread_q1:
	mov	8(%rsi), %rbp
.Lread_q2:
	mov	16(%rsi), %r12
.Lread_q3:
	mov	24(%rsi), %r13
	mov	%rbx, (%rdi)
	mov	%rbp, 8(%rdi)
	mov	%r12, 16(%rdi)
	mov	%r13, 24(%rdi)
	add	$32, %rsi
	add	$32, %rdi
	dec	%rcx
	jnz	.Lread_q0
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
.Lrest:
	test	%edx, %edx
	jz	.Lall
.Lread_b:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%edx
	jnz	.Lread_b
.Lall:
	xor	%eax, %eax
	RET

.Lfix_block:
	shl	$5, %rcx
	lea	(%rcx,%rdx), %rax
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	RET
.Lfix_b:
	mov	%rdx, %rax
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	RET

	_ASM_EXTABLE_TYPE(.Lread_q0, .Lfix_block, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_q1, .Lfix_block, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_q2, .Lfix_block, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_q3, .Lfix_block, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_b, .Lfix_b, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(pushed)
