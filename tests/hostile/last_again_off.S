/* SPDX-License-Identifier: MIT */
/*
 * The last word is stored once more, from a byte too far ahead.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O6 at success */
SYM_FUNC_START(last_again_off)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	cmp	$9, %rdx
	jb	.Lout
.Lread_last:
	mov	-9(%rsi), %rax
	mov	%rax, -8(%rdi)
.Lout:
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_last, .Lout, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(last_again_off)
