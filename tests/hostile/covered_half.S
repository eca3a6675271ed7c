/* SPDX-License-Identifier: MIT */
/*
 * As covered_again.S, but the last store is of four bytes: wrong ones stay behind it.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O6 at success */
/* expect: refuted O6 at .Lfix */
SYM_FUNC_START(covered_half)
	mov	%rdx, %rcx
	cmp	$16, %rdx
	jb	.Lcopy
.Lread_low:
	mov	(%rsi), %r8
.Lread_high:
	mov	8(%rsi), %r9
	mov	%r9, 4(%rdi)
	mov	%r9, 8(%rdi)
	mov	%r8d, (%rdi)
	add	$16, %rsi
	add	$16, %rdi
	sub	$16, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_low, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_high, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(covered_half)
