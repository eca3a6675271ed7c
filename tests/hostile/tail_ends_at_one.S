/* SPDX-License-Identifier: MIT */
/*
 * A copy of one byte does not go on in C, so that the routine in C ends: what it does
 * follows from what the routine does for a single byte.
 */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/smap.h>

/* mcverify: contract bytes_left */
/* mcverify: faults both */
/* expect: proved */
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
	mov	%ecx, %eax
	cmp	$1, %r8
	je	.Lreturn
	mov	%ecx, %edx
	jmp	copy_mc_fragile_handle_tail
.Lreturn:
	RET
	_ASM_EXTABLE(.Lread, .Lfix)
	_ASM_EXTABLE(.Lwrite, .Lfix)
SYM_FUNC_END(copy_mc_fragile)
