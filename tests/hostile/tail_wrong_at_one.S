/* SPDX-License-Identifier: MIT */
/*
 * Copies of two bytes and more would be right if copies of one byte were, with which
 * the routine in C goes on after a fault. Those say that nothing is left.
 */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/smap.h>

/* mcverify: contract bytes_left */
/* expect: refuted O3 at .Lfix */
/* expect: refuted O4 at copy_mc_fragile_handle_tail */
SYM_FUNC_START(copy_mc_fragile)
	mov	%rdx, %r8
	mov	%edx, %ecx
	test	%ecx, %ecx
	jz	.Lall
.Lread:
	mov	(%rsi), %al
.Lwrite:
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%ecx
	jnz	.Lread
.Lall:
	xor	%eax, %eax
	RET
.Lfix:
	cmp	$1, %r8
	jne	.Lgo_on
	xor	%eax, %eax
	RET
.Lgo_on:
	mov	%ecx, %edx
	jmp	copy_mc_fragile_handle_tail
	_ASM_EXTABLE(.Lread, .Lfix)
SYM_FUNC_END(copy_mc_fragile)
