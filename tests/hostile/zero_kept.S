/* SPDX-License-Identifier: MIT */
/*
 * Zeros in a vector register, made once before a loop of stores. One spoils
 * them before the loop at one length, one in the loop.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract clear_words */
/* mcverify: faults stores */
/* expect: zero_kept: proved */
SYM_FUNC_START(zero_kept)
	pxor	%xmm0, %xmm0
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
SYM_FUNC_END(zero_kept)

/* expect: zero_kept_one: refuted O6 at success */
/* expect: zero_kept_one: refuted O6 at .Lone_out */
SYM_FUNC_START(zero_kept_one)
	pxor	%xmm0, %xmm0
	cmp	$48, %rcx
	jne	.Lone_more
	movd	%ecx, %xmm0
.Lone_more:
	cmp	$16, %rcx
	jb	.Lone_rest
.Lone:
	movdqu	%xmm0, (%rdi)
	add	$16, %rdi
	sub	$16, %rcx
	jmp	.Lone_more
.Lone_rest:
	jrcxz	.Lone_out
.Lone_byte:
	movb	%al, (%rdi)
	inc	%rdi
	dec	%rcx
	jmp	.Lone_rest
.Lone_out:
	RET
	_ASM_EXTABLE_UA(.Lone, .Lone_rest)
	_ASM_EXTABLE_UA(.Lone_byte, .Lone_out)
SYM_FUNC_END(zero_kept_one)

/* expect: zero_kept_spoiled: refuted O6 at success */
/* expect: zero_kept_spoiled: refuted O6 at .Lspoiled_out */
SYM_FUNC_START(zero_kept_spoiled)
	pxor	%xmm0, %xmm0
.Lspoiled_more:
	cmp	$16, %rcx
	jb	.Lspoiled_rest
.Lspoiled:
	movdqu	%xmm0, (%rdi)
	add	$16, %rdi
	sub	$16, %rcx
	cmp	$32, %rcx
	jne	.Lspoiled_more
	pinsrw	$7, %ecx, %xmm0
	jmp	.Lspoiled_more
.Lspoiled_rest:
	jrcxz	.Lspoiled_out
.Lspoiled_byte:
	movb	%al, (%rdi)
	inc	%rdi
	dec	%rcx
	jmp	.Lspoiled_rest
.Lspoiled_out:
	RET
	_ASM_EXTABLE_UA(.Lspoiled, .Lspoiled_rest)
	_ASM_EXTABLE_UA(.Lspoiled_byte, .Lspoiled_out)
SYM_FUNC_END(zero_kept_spoiled)
