/* SPDX-License-Identifier: MIT */
/*
 * Returns four bytes of src sign-extended.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract get_user_4 */
/* expect: refuted O6 at success */
SYM_FUNC_START(get_signed)
.Lcopy:
	movslq	(%rax), %rdx
	xor	%eax, %eax
	RET
.Lfix:
	xor	%edx, %edx
	mov	$-14, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(get_signed)
