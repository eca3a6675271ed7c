/* SPDX-License-Identifier: MIT */
/*
 * A write to a 16-bit register keeps the upper bits, which here hold the length.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O4 at .Lfix */
/* expect: refuted O2 at .Lfix */
SYM_FUNC_START(upper_half)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rdx, %rax
	mov	%cx, %ax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(upper_half)
