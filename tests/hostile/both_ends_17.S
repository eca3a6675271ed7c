/* SPDX-License-Identifier: MIT */
/*
 * As both_ends.S, but for 17 bytes too: one in the middle is left out.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O3 at success */
/* expect: refuted O9 at success */
SYM_FUNC_START(both_ends_17)
	mov	%rdx, %rcx
	cmp	$8, %rdx
	jb	.Lcopy
	cmp	$17, %rdx
	ja	.Lcopy
.Lread_first:
	mov	(%rsi), %r8
.Lread_last:
	mov	-8(%rsi,%rdx), %r9
	mov	%r9, -8(%rdi,%rdx)
	mov	%r8, (%rdi)
	xor	%eax, %eax
	RET
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_first, .Lcopy, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_last, .Lcopy, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(both_ends_17)
