/* SPDX-License-Identifier: MIT */
/*
 * Makes a mask of a borrow with sbb, of the wrong comparison: it is 0 for a
 * length of 0 alone.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O2 at success */
/* expect: refuted O9 at success */
SYM_FUNC_START(sbb_mask_wrong)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	cmp	$1, %rdx
	sbb	%rax, %rax
	not	%rax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(sbb_mask_wrong)
