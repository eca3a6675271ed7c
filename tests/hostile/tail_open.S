/* SPDX-License-Identifier: MIT */
/*
 * The routine in C is called with user access open, and copies each byte with this
 * routine, which takes it to be closed.
 */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/smap.h>

/* mcverify: contract bytes_left */
/* expect: proved */
/* unknown: the routine in C may not be called with user access open, though here that does no harm */
SYM_FUNC_START(copy_mc_fragile)
	mov	%rdx, %r8
	stac
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
	clac
	RET
.Lfix:
	mov	%ecx, %eax
	cmp	$1, %r8
	je	.Lreturn
	mov	%ecx, %edx
	jmp	copy_mc_fragile_handle_tail
.Lreturn:
	clac
	RET
	_ASM_EXTABLE(.Lread, .Lfix)
SYM_FUNC_END(copy_mc_fragile)
