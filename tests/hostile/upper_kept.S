/* SPDX-License-Identifier: MIT */
/*
 * Writes 16 bits of the count's register and returns all of it: the upper bits
 * are the length's.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O4 at success */
/* expect: refuted O9 at success */
SYM_FUNC_START(upper_kept)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	mov	%rdx, %rax
	mov	$0, %ax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(upper_kept)
