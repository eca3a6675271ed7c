/* SPDX-License-Identifier: MIT */
/*
 * The handler makes bytes of the words left.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: proved */
SYM_FUNC_START(ucopy_len)
	mov	%rdx, %rcx
	shr	$3, %rcx
	and	$7, %edx
.Lcopy:
	rep	movsq
	mov	%edx, %ecx
.Lbytes:
	rep	movsb
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_UCOPY_LEN8 | EX_DATA_REG(2))
	_ASM_EXTABLE_TYPE(.Lbytes, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(ucopy_len)
