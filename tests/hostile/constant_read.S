/* SPDX-License-Identifier: MIT */
/*
 * What is stored comes from data that are only read. Of one routine they are
 * not zero at one place.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

	.section .rodata
	.balign	16
.Lzeros:
	.zero	16
.Lnearly:
	.zero	13
	.byte	7
	.zero	2
	.text

/* mcverify: contract clear_words */
/* expect: constant_read: proved */
SYM_FUNC_START(constant_read)
	movdqu	.Lzeros(%rip), %xmm0
.Lright_more:
	cmp	$16, %rcx
	jb	.Lright_rest
.Lright:
	movdqu	%xmm0, (%rdi)
	add	$16, %rdi
	sub	$16, %rcx
	jmp	.Lright_more
.Lright_rest:
	jrcxz	.Lright_out
.Lright_byte:
	movb	%al, (%rdi)
	inc	%rdi
	dec	%rcx
	jmp	.Lright_rest
.Lright_out:
	RET
	_ASM_EXTABLE_UA(.Lright, .Lright_rest)
	_ASM_EXTABLE_UA(.Lright_byte, .Lright_out)
SYM_FUNC_END(constant_read)

/* expect: constant_nearly: refuted O6 at success */
/* expect: constant_nearly: refuted O6 at .Lnearly_out */
SYM_FUNC_START(constant_nearly)
	movdqu	.Lnearly(%rip), %xmm0
.Lnearly_more:
	cmp	$16, %rcx
	jb	.Lnearly_rest
.Lnearly_store:
	movdqu	%xmm0, (%rdi)
	add	$16, %rdi
	sub	$16, %rcx
	jmp	.Lnearly_more
.Lnearly_rest:
	jrcxz	.Lnearly_out
.Lnearly_byte:
	movb	%al, (%rdi)
	inc	%rdi
	dec	%rcx
	jmp	.Lnearly_rest
.Lnearly_out:
	RET
	_ASM_EXTABLE_UA(.Lnearly_store, .Lnearly_rest)
	_ASM_EXTABLE_UA(.Lnearly_byte, .Lnearly_out)
SYM_FUNC_END(constant_nearly)
