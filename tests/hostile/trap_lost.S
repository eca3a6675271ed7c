/* SPDX-License-Identifier: MIT */
/*
 * Keeps the trap number in a register that the retry overwrites.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract mcsafe_ret */
/* expect: refuted O9 at .Lfix */
SYM_FUNC_START(trap_lost)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	xor	%edx, %edx
	RET
.Lfix:
	mov	%rcx, %rdx
	mov	$14, %eax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(trap_lost)
