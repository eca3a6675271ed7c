/* SPDX-License-Identifier: MIT */
/*
 * Pairs of words, each load followed at once by its store. What follows a
 * fault depends on the trap number that the handler leaves in rax: after a
 * page fault the rest is tried byte by byte, after a machine check it is not,
 * since poisoned memory is better not read again. The count is exact in
 * either case.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: proved */
SYM_FUNC_START(retry_by_trap)
	mov	%rdx, %rcx
	and	$15, %edx		/* rdx: bytes behind the last pair */
	shr	$4, %rcx		/* rcx: pairs to go */
	jz	.Lrest
.Lread_w0:
	mov	(%rsi), %r8
	mov	%r8, (%rdi)
.Lread_w1:
	mov	8(%rsi), %r9
	mov	%r9, 8(%rdi)
	add	$16, %rsi
	add	$16, %rdi
	dec	%rcx
	jnz	.Lread_w0
.Lrest:
	test	%rdx, %rdx
	jz	.Lall
.Lread_b:
	mov	(%rsi), %r8b
	mov	%r8b, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rdx
	jnz	.Lread_b
.Lall:
	xor	%eax, %eax
	RET

.Lfix_w0:
	shl	$4, %rcx
	add	%rcx, %rdx		/* rdx: bytes to go, the whole pair included */
	cmp	$18, %eax
	jne	.Lread_b
	mov	%rdx, %rax
	RET
.Lfix_w1:
	shl	$4, %rcx
	lea	-8(%rdx,%rcx), %rdx	/* its first word is in place */
	add	$8, %rsi
	add	$8, %rdi
	cmp	$18, %eax
	jne	.Lread_b
	mov	%rdx, %rax
	RET
.Lfix_b:
	mov	%rdx, %rax
	RET
	_ASM_EXTABLE_TYPE(.Lread_w0, .Lfix_w0, EX_TYPE_FAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_w1, .Lfix_w1, EX_TYPE_FAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_b, .Lfix_b, EX_TYPE_FAULT_MCE_SAFE)
SYM_FUNC_END(retry_by_trap)
