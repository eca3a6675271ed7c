/* SPDX-License-Identifier: MIT */
/*
 * index_total.S whose last loop counts in rdx and so destroys the total that its
 * fixup starts from: the difference falls below zero, or for less than a word is
 * merely too small.
 *
 * The clear routine of MIPS subtracted a register that it had clobbered on the
 * way, until daf70d89f80c (2018).
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O2 at .Lfix_b */
/* expect: refuted O3 at .Lfix_b */
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
	and	$7, %rdx		/* rdx: bytes to go */
	jz	.Lall
.Lread_b:
	mov	(%rsi,%rcx), %al
	mov	%al, (%rdi,%rcx)
	inc	%rcx
	dec	%rdx
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
