/* SPDX-License-Identifier: MIT */
/*
 * Never returns for len = 0.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O9 at * */
SYM_FUNC_START(len0_hang)
	test	%rdx, %rdx
.Lspin:
	jz	.Lspin
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(len0_hang)
