/* SPDX-License-Identifier: MIT */
/*
 * The count is 16 bits wide.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O3 at success */
/* expect: refuted O3 at .Lfix */
/* expect: refuted O9 at success */
SYM_FUNC_START(count16)
	movzwl	%dx, %ecx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(count16)
