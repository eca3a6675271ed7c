/* SPDX-License-Identifier: MIT */
/*
 * Makes a mask of a borrow with sbb: it is -1 where the counter was 0, and the
 * count is right by that.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: proved */
SYM_FUNC_START(sbb_mask)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	cmp	$1, %rcx
	sbb	%rax, %rax
	not	%rax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(sbb_mask)
