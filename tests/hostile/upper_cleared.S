/* SPDX-License-Identifier: MIT */
/*
 * Writes 32 bits of the count's register, which clears the upper ones.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: proved */
SYM_FUNC_START(upper_cleared)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	mov	$-1, %rax
	mov	$0, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(upper_cleared)
