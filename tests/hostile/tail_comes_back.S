/* SPDX-License-Identifier: MIT */
/*
 * The fixup of a copy byte by byte goes on in C, which copies each byte with this
 * very routine: at a bad byte the two call each other without end.
 */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/smap.h>

/* mcverify: contract bytes_left */
/* mcverify: faults both */
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
	mov	%ecx, %edx
	jmp	copy_mc_fragile_handle_tail
	_ASM_EXTABLE(.Lread, .Lfix)
	_ASM_EXTABLE(.Lwrite, .Lfix)
SYM_FUNC_END(copy_mc_fragile)
