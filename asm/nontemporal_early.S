/* SPDX-License-Identifier: MIT */
/*
 * Words past the cache with movnti, the rest with ordinary stores; reads and
 * writes may fault. A faulting word is given up whole, and only the way out
 * without a fault passes the store fence.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract nontemporal */
/* mcverify: faults both */
/* expect: proved */
SYM_FUNC_START(nontemporal_early)
	cmp	$8, %rdx
	jb	.Lrest
.Lread_w:
	mov	(%rsi), %rax
.Lwrite_w:
	movnti	%rax, (%rdi)
	sub	$8, %rdx
	add	$8, %rsi
	add	$8, %rdi
	cmp	$8, %rdx
	jae	.Lread_w
.Lrest:
	test	%rdx, %rdx
	jz	.Lall
.Lread_b:
	mov	(%rsi), %al
.Lwrite_b:
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rdx			/* rdx: bytes to go */
	jnz	.Lread_b
.Lall:
	sfence
.Lfix_w:
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE_UA(.Lread_w, .Lfix_w)
	_ASM_EXTABLE_UA(.Lwrite_w, .Lfix_w)
	_ASM_EXTABLE_UA(.Lread_b, .Lfix_w)
	_ASM_EXTABLE_UA(.Lwrite_b, .Lfix_w)
SYM_FUNC_END(nontemporal_early)
