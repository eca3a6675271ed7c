/* SPDX-License-Identifier: MIT */
/*
 * A copy that sums up what it copies: words with their carries, then bytes. The
 * sum is returned, after a fault that of what was copied: taken for success.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract checksum */
/* expect: refuted O9 at .Lfix_any */
SYM_FUNC_START(sum_copy)
	mov	$-1, %rax
	mov	%rdx, %rcx
	and	$7, %edx		/* rdx: bytes behind the last word */
	shr	$3, %rcx		/* rcx: words to go */
	jz	.Lrest
.Lread_w:
	mov	(%rdi), %r8
.Lwrite_w:
	mov	%r8, (%rsi)
	add	%r8, %rax
	adc	$0, %rax
	add	$8, %rdi
	add	$8, %rsi
	dec	%rcx
	jnz	.Lread_w
.Lrest:
	test	%rdx, %rdx
	jz	.Lall
.Lread_b:
	movzbl	(%rdi), %r8d
.Lwrite_b:
	mov	%r8b, (%rsi)
	add	%r8, %rax
	adc	$0, %rax
	inc	%rdi
	inc	%rsi
	dec	%rdx
	jnz	.Lread_b
.Lall:
	RET

.Lfix_any:
	RET

	_ASM_EXTABLE_UA(.Lread_w, .Lfix_any)
	_ASM_EXTABLE_UA(.Lwrite_w, .Lfix_any)
	_ASM_EXTABLE_UA(.Lread_b, .Lfix_any)
	_ASM_EXTABLE_UA(.Lwrite_b, .Lfix_any)
SYM_FUNC_END(sum_copy)
