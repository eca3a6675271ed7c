/* SPDX-License-Identifier: MIT */
/*
 * The handler drops the saved word from the stack, which was not pushed for it.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O7 at .Lfix */
SYM_FUNC_START(pop_reg)
	push	%rbx
	mov	%rdx, %rcx
	mov	%rdx, %rbx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	pop	%rbx
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_POP_REG | EX_DATA_IMM(0) | EX_DATA_REG(8))
SYM_FUNC_END(pop_reg)
