/* SPDX-License-Identifier: MIT */
/*
 * After a fault it goes to the last byte that a routine outside may have, where
 * something else may stand than a return.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O7 at .Lfix */
/* unknown: where it goes is outside the file */
SYM_FUNC_START(into_tail)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	ret
.Lfix:
	mov	%rcx, %rax
	jmp	copy_mc_fragile_handle_tail + 66
.Lnever:
	mov	%ecx, %edx
	jmp	copy_mc_fragile_handle_tail

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(into_tail)
