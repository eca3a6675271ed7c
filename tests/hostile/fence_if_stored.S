/* SPDX-License-Identifier: MIT */
/*
 * A fence where a flag, or the length, says that something was stored past
 * the caches. One flag is set by the byte stores instead, one length is off
 * by eight.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract nocache */
/* expect: fence_by_flag: proved */
SYM_FUNC_START(fence_by_flag)
	xor	%r8d, %r8d
.Lflag_more:
	cmp	$8, %rdx
	jb	.Lflag_rest
.Lflag_load:
	mov	(%rsi), %rax
.Lflag_store:
	movnti	%rax, (%rdi)
	mov	$1, %r8d
	add	$8, %rsi
	add	$8, %rdi
	sub	$8, %rdx
	jmp	.Lflag_more
.Lflag_rest:
	test	%rdx, %rdx
	jz	.Lflag_out
.Lflag_byte:
	mov	(%rsi), %al
.Lflag_put:
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rdx
	jmp	.Lflag_rest
.Lflag_out:
	test	%r8d, %r8d
	jz	.Lflag_done
	sfence
.Lflag_done:
	mov	%rdx, %rax
	RET
	_ASM_EXTABLE_UA(.Lflag_load, .Lflag_rest)
	_ASM_EXTABLE_UA(.Lflag_store, .Lflag_rest)
	_ASM_EXTABLE_UA(.Lflag_byte, .Lflag_out)
	_ASM_EXTABLE_UA(.Lflag_put, .Lflag_out)
SYM_FUNC_END(fence_by_flag)

/* expect: fence_by_length: proved */
SYM_FUNC_START(fence_by_length)
	mov	%rdx, %r9
.Llength_more:
	cmp	$8, %rdx
	jb	.Llength_rest
.Llength_load:
	mov	(%rsi), %rax
.Llength_store:
	movnti	%rax, (%rdi)
	add	$8, %rsi
	add	$8, %rdi
	sub	$8, %rdx
	jmp	.Llength_more
.Llength_rest:
	test	%rdx, %rdx
	jz	.Llength_out
.Llength_byte:
	mov	(%rsi), %al
.Llength_put:
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rdx
	jmp	.Llength_rest
.Llength_out:
	test	$-8, %r9
	jz	.Llength_done
	sfence
.Llength_done:
	mov	%rdx, %rax
	RET
	_ASM_EXTABLE_UA(.Llength_load, .Llength_rest)
	_ASM_EXTABLE_UA(.Llength_store, .Llength_rest)
	_ASM_EXTABLE_UA(.Llength_byte, .Llength_out)
	_ASM_EXTABLE_UA(.Llength_put, .Llength_out)
SYM_FUNC_END(fence_by_length)

/* expect: fence_by_other_flag: refuted O10 at success */
/* expect: fence_by_other_flag: refuted O10 at .Lother_out */
SYM_FUNC_START(fence_by_other_flag)
	xor	%r8d, %r8d
.Lother_more:
	cmp	$8, %rdx
	jb	.Lother_rest
.Lother_load:
	mov	(%rsi), %rax
.Lother_store:
	movnti	%rax, (%rdi)
	add	$8, %rsi
	add	$8, %rdi
	sub	$8, %rdx
	jmp	.Lother_more
.Lother_rest:
	test	%rdx, %rdx
	jz	.Lother_out
.Lother_byte:
	mov	(%rsi), %al
.Lother_put:
	mov	%al, (%rdi)
	mov	$1, %r8d
	inc	%rsi
	inc	%rdi
	dec	%rdx
	jmp	.Lother_rest
.Lother_out:
	test	%r8d, %r8d
	jz	.Lother_done
	sfence
.Lother_done:
	mov	%rdx, %rax
	RET
	_ASM_EXTABLE_UA(.Lother_load, .Lother_rest)
	_ASM_EXTABLE_UA(.Lother_store, .Lother_rest)
	_ASM_EXTABLE_UA(.Lother_byte, .Lother_out)
	_ASM_EXTABLE_UA(.Lother_put, .Lother_out)
SYM_FUNC_END(fence_by_other_flag)

/* expect: fence_by_far_length: refuted O10 at success */
/* expect: fence_by_far_length: refuted O10 at .Lfar_out */
SYM_FUNC_START(fence_by_far_length)
	mov	%rdx, %r9
.Lfar_more:
	cmp	$8, %rdx
	jb	.Lfar_rest
.Lfar_load:
	mov	(%rsi), %rax
.Lfar_store:
	movnti	%rax, (%rdi)
	add	$8, %rsi
	add	$8, %rdi
	sub	$8, %rdx
	jmp	.Lfar_more
.Lfar_rest:
	test	%rdx, %rdx
	jz	.Lfar_out
.Lfar_byte:
	mov	(%rsi), %al
.Lfar_put:
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rdx
	jmp	.Lfar_rest
.Lfar_out:
	test	$-16, %r9
	jz	.Lfar_done
	sfence
.Lfar_done:
	mov	%rdx, %rax
	RET
	_ASM_EXTABLE_UA(.Lfar_load, .Lfar_rest)
	_ASM_EXTABLE_UA(.Lfar_store, .Lfar_rest)
	_ASM_EXTABLE_UA(.Lfar_byte, .Lfar_out)
	_ASM_EXTABLE_UA(.Lfar_put, .Lfar_out)
SYM_FUNC_END(fence_by_far_length)
