/* SPDX-License-Identifier: MIT */
/*
 * Reports a failure where the code happens to lie at an address with bit 16
 * set: it is wrong for some places to which the kernel may be loaded.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O2 at success */
/* expect: refuted O4 at success */
/* expect: refuted O9 at success */
/* unknown: runs are made at one address of the code */
SYM_FUNC_START(code_address)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	call	.Lhere
.Lhere:
	pop	%rax
	shr	$16, %rax
	and	$1, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(code_address)
