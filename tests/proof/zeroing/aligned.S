/* SPDX-License-Identifier: MIT */
/*
 * In the manner of 2.6.27: dst is aligned byte by byte, then words, then bytes;
 * each fixup works out how many bytes are left and goes on in C, which zeroes
 * what it cannot copy if ecx is not 0.
 */
#include <linux/linkage.h>
#include <asm/dwarf2.h>
ENTRY(copy_user_generic_unrolled)
	CFI_STARTPROC
	cmpl	$8, %edx
	jb	Lrest
	movl	%edi, %ecx
	negl	%ecx
	andl	$7, %ecx
	jz	Laligned
	subl	%ecx, %edx
Lread_a:
	movb	(%rsi), %al
Lwrite_a:
	movb	%al, (%rdi)
	incq	%rsi
	incq	%rdi
	decl	%ecx
	jnz	Lread_a
Laligned:
	movl	%edx, %ecx
	andl	$7, %edx
	shrl	$3, %ecx
	jz	Lrest
Lread_w:
	movq	(%rsi), %r8
Lwrite_w:
	movq	%r8, (%rdi)
	leaq	8(%rsi), %rsi
	leaq	8(%rdi), %rdi
	decl	%ecx
	jnz	Lread_w
Lrest:
	movl	%edx, %ecx
	andl	%edx, %edx
	jz	Lall
Lread_b:
	movb	(%rsi), %al
Lwrite_b:
	movb	%al, (%rdi)
	incq	%rsi
	incq	%rdi
	decl	%ecx
	jnz	Lread_b
Lall:
	xorl	%eax, %eax
	ret
	.section .fixup, "ax"
Lfix_a:	addl	%ecx, %edx
	jmp	copy_user_handle_tail
Lfix_w:	leal	(%rdx,%rcx,8), %edx
	movl	%edx, %ecx
	jmp	copy_user_handle_tail
Lfix_b:	movl	%ecx, %edx
	jmp	copy_user_handle_tail
	.previous
	.section __ex_table, "a"
	.align	8
	.quad	Lread_a, Lfix_a, Lwrite_a, Lfix_a
	.quad	Lread_w, Lfix_w, Lwrite_w, Lfix_w
	.quad	Lread_b, Lfix_b, Lwrite_b, Lfix_b
	.previous
	CFI_ENDPROC
ENDPROC(copy_user_generic_unrolled)
