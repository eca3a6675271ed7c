/* SPDX-License-Identifier: MIT */
/*
 * Clears the direction flag on one way out and not on the other.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O9 at success */
/* expect: refuted O7 at .Lfix */
SYM_FUNC_START(left_set)
	mov	%rdx, %rcx
	test	%rcx, %rcx
	jz	.Lend
	lea	-1(%rsi,%rdx), %rsi
	lea	-1(%rdi,%rdx), %rdi
	std
.Lcopy:
	mov	(%rsi), %al
	cld
.Lend:
	mov	%rdx, %rcx
.Lnone:
	xor	%eax, %eax
	mov	%rdx, %rax
	RET
.Lfix:
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(left_set)
