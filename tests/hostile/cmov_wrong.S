/* SPDX-License-Identifier: MIT */
/*
 * Chooses between count and length by flags that the subtraction before has
 * changed.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O4 at .Lfix */
SYM_FUNC_START(cmov_wrong)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	sub	$777777, %rcx
	cmove	%rdx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(cmov_wrong)
