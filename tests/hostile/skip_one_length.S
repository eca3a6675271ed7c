/* SPDX-License-Identifier: MIT */
/*
 * Forgets the last byte of one length.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O3 at success */
/* expect: refuted O9 at success */
/* expect: refuted O3 at .Lfix */
SYM_FUNC_START(skip_one_length)
	mov	%rdx, %rcx
	cmp	$0x12345, %rdx
	jne	.Lcopy
	dec	%rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(skip_one_length)
