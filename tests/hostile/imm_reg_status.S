/* SPDX-License-Identifier: MIT */
/*
 * The handler puts an error number where a status is to be returned.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract status */
/* expect: proved */
SYM_FUNC_START(imm_reg_status)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfix:
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_EFAULT_REG | EX_DATA_REG(0))
SYM_FUNC_END(imm_reg_status)
