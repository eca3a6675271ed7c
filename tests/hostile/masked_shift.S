/* SPDX-License-Identifier: MIT */
/*
 * A shift by 64 is a shift by 0: for a length of 64 the count is not what it
 * seems.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O2 at success */
/* expect: refuted O4 at success */
/* expect: refuted O9 at success */
SYM_FUNC_START(masked_shift)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	mov	$1, %eax
	mov	%edx, %ecx
	shr	%cl, %rax
	test	$63, %edx
	jz	.Lgive
	xor	%eax, %eax
.Lgive:
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(masked_shift)
