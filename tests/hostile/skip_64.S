/* SPDX-License-Identifier: MIT */
/*
 * Does nothing for exactly 64 bytes.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O3 at success */
/* expect: refuted O9 at success */
SYM_FUNC_START(skip_64)
	mov	%rdx, %rcx
	cmp	$64, %rdx
	je	.Lout
.Lcopy:
	rep	movsb
.Lout:
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(skip_64)
