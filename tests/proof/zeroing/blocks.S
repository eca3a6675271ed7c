/* SPDX-License-Identifier: MIT */
/*
 * In the manner of 2.6.24: blocks of 16 bytes, in each of which two loads come
 * before two stores; then bytes. ecx is a flag: after a fault what is left of
 * dst is zeroed if it is not 0.
 */
#include <linux/linkage.h>
ENTRY(copy_user_generic)
	movl	%ecx, %r11d		/* r11: zero the rest? */
	movl	%edx, %ecx
	andl	$15, %edx		/* edx: bytes behind the last block */
	shrl	$4, %ecx		/* ecx: blocks to go */
	jz	Lrest
Lload1:	movq	(%rsi), %r8
Lload2:	movq	8(%rsi), %r9
Lstore1: movq	%r8, (%rdi)
Lstore2: movq	%r9, 8(%rdi)
	leaq	16(%rsi), %rsi
	leaq	16(%rdi), %rdi
	decl	%ecx
	jnz	Lload1
Lrest:
	andl	%edx, %edx
	jz	Lall
Lload_b: movb	(%rsi), %r8b
Lstore_b: movb	%r8b, (%rdi)
	incq	%rsi
	incq	%rdi
	decl	%edx
	jnz	Lload_b
Lall:
	xorl	%eax, %eax
	ret

Lleft2:	shll	$4, %ecx
	addl	%ecx, %edx
	jmp	Lzero_rest
Lleft1:	addq	$8, %rdi
	shll	$4, %ecx
	leal	-8(%rdx,%rcx), %edx
Lzero_rest:
	movl	%edx, %r9d		/* r9: bytes that are left */
	testl	%r11d, %r11d
	jz	Lreturn
	movl	%edx, %ecx
	xorl	%eax, %eax
Lzero:	rep stosb
Lreturn: movl	%r9d, %eax
	ret
ENDPROC(copy_user_generic)

	.section __ex_table, "a"
	.align	8
	.quad	Lload1, Lleft2
	.quad	Lload2, Lleft2
	.quad	Lstore1, Lleft2
	.quad	Lstore2, Lleft1
	.quad	Lload_b, Lzero_rest
	.quad	Lstore_b, Lzero_rest
	.quad	Lzero, Lreturn
