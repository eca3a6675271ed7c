/* SPDX-License-Identifier: MIT */
/*
 * Returns through a number that is the address at which the code lies in the
 * file as it was laid out.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O7 at success */
SYM_FUNC_START(return_number)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	push	$0x40000000
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(return_number)
