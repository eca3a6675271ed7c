/* SPDX-License-Identifier: MIT */
/*
 * retry_by_trap.S whose count after a machine check is that of whole pairs: if the
 * second word is the bad one, the first is in place and not in the claim. A page
 * fault starts the pair again from its first word, and its count is exact.
 *
 * Since 3376136300a0 (5.17) the x86-64 user copy returns its first count after a
 * machine check, rounded to the block, and tries no further.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O4 at .Lfix_w1 */
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
	add	%rcx, %rdx
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
