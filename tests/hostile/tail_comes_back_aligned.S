/* SPDX-License-Identifier: MIT */
/*
 * As tail_comes_back.S, but only where dst is at one of eight alignments.
 */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/smap.h>

/* mcverify: contract bytes_left */
/* expect: refuted O9 at * */
SYM_FUNC_START(copy_mc_fragile)
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
	mov	%edi, %eax
	and	$7, %eax
	cmp	$5, %eax
	je	.Lgo_on
	mov	%ecx, %eax
	RET
.Lgo_on:
	mov	%ecx, %edx
	jmp	copy_mc_fragile_handle_tail
	_ASM_EXTABLE(.Lread, .Lfix)
SYM_FUNC_END(copy_mc_fragile)
