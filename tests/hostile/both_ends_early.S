/* SPDX-License-Identifier: MIT */
/*
 * As both_ends.S, but the first word is stored before the last is loaded, and the
 * fault of that is counted as if it were not.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O4 at .Lfix */
SYM_FUNC_START(both_ends_early)
	mov	%rdx, %rcx
	cmp	$8, %rdx
	jb	.Lcopy
	cmp	$16, %rdx
	ja	.Lcopy
.Lread_first:
	mov	(%rsi), %r8
	mov	%r8, (%rdi)
.Lread_last:
	mov	-8(%rsi,%rdx), %r9
	mov	%r9, -8(%rdi,%rdx)
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
	_ASM_EXTABLE_TYPE(.Lread_first, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_last, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(both_ends_early)
