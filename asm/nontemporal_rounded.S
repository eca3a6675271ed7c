/* SPDX-License-Identifier: MIT */
/*
 * Pairs of words past the cache with movnti, the rest with ordinary stores. After
 * a page fault the rest is tried byte by byte, and the count is exact. After a
 * machine check it is that of whole pairs: the first word of the pair may be in
 * place and not in the claim, which the contract allows then. Every way out
 * passes a store fence.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract nocache_rounded */
/* expect: proved */
SYM_FUNC_START(nontemporal_rounded)
	mov	%rdx, %rcx
	and	$15, %edx		/* rdx: bytes behind the last pair */
	shr	$4, %rcx		/* rcx: pairs to go */
	jz	.Lrest
.Lread_w0:
	mov	(%rsi), %r8
.Lwrite_w0:
	movnti	%r8, (%rdi)
.Lread_w1:
	mov	8(%rsi), %r8
.Lwrite_w1:
	movnti	%r8, 8(%rdi)
	add	$16, %rsi
	add	$16, %rdi
	dec	%rcx
	jnz	.Lread_w0
.Lrest:
	test	%rdx, %rdx
	jz	.Lall
.Lread_b:
	mov	(%rsi), %r8b
.Lwrite_b:
	mov	%r8b, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rdx
	jnz	.Lread_b
.Lall:
	sfence
	xor	%eax, %eax
	RET

.Lfix_pair:
	shl	$4, %rcx
	add	%rcx, %rdx		/* rdx: bytes to go, the whole pair included */
	cmp	$18, %eax
	jne	.Lread_b
	sfence
	mov	%rdx, %rax
	RET
.Lfix_b:
	sfence
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE_CPY(.Lread_w0, .Lfix_pair)
	_ASM_EXTABLE_CPY(.Lwrite_w0, .Lfix_pair)
	_ASM_EXTABLE_CPY(.Lread_w1, .Lfix_pair)
	_ASM_EXTABLE_CPY(.Lwrite_w1, .Lfix_pair)
	_ASM_EXTABLE_CPY(.Lread_b, .Lfix_b)
	_ASM_EXTABLE_CPY(.Lwrite_b, .Lfix_b)
SYM_FUNC_END(nontemporal_rounded)
