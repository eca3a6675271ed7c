/* SPDX-License-Identifier: MIT */
/*
 * 8 to 16 bytes as two words that overlap, both loaded before the first is stored.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: proved */
SYM_FUNC_START(both_ends)
	mov	%rdx, %rcx
	cmp	$8, %rdx
	jb	.Lcopy
	cmp	$16, %rdx
	ja	.Lcopy
.Lread_first:
	mov	(%rsi), %r8
.Lread_last:
	mov	-8(%rsi,%rdx), %r9
	mov	%r8, (%rdi)
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
	_ASM_EXTABLE_TYPE(.Lread_first, .Lcopy, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_last, .Lcopy, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(both_ends)
