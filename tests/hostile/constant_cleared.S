/* SPDX-License-Identifier: MIT */
/*
 * Long clears store ones: wrong data, but no byte is missing, though some of them
 * do not change.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract clear */
/* expect: refuted O6 at success */
/* expect: refuted O6 at .Lfix */
SYM_FUNC_START(constant_cleared)
	cmp	$600, %rcx
	jb	.Lcopy
	inc	%eax
.Lcopy:
	rep	stosb
	xor	%eax, %eax
	RET
.Lfix:
	xor	%eax, %eax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(constant_cleared)
