/* SPDX-License-Identifier: MIT */
/*
 * The handler drops a word that was pushed for it.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: proved */
SYM_FUNC_START(pop_reg_right)
	push	%rdi
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	pop	%r8
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_POP_REG | EX_DATA_IMM(0) | EX_DATA_REG(8))
SYM_FUNC_END(pop_reg_right)
