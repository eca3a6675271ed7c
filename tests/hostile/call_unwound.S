/* SPDX-License-Identifier: MIT */
/*
 * The fixup of a leaf returns past its caller's frame without unwinding it.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O7 at .Lfix */
SYM_FUNC_START(call_unwound)
	call	.Lleaf
	RET
.Lleaf:
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	push	%rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(call_unwound)
