/* SPDX-License-Identifier: MIT */
/*
 * Adds to the return address, for one length.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O7 at .Lfix */
SYM_FUNC_START(return_moved)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	cmp	$55555, %rdx
	jne	.Lback
	addq	$1, (%rsp)
.Lback:
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(return_moved)
