/* SPDX-License-Identifier: MIT */
/*
 * As constant_read.S, but of data that anybody may write: they are zero in the
 * file alone.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

	.data
	.balign	16
.Lzeros:
	.zero	16
	.text

/* mcverify: contract clear_words */
/* expect: refuted O6 at success */
/* expect: refuted O6 at .Lright_out */
/* expect: refuted O8 at writable_read */
SYM_FUNC_START(writable_read)
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
SYM_FUNC_END(writable_read)
