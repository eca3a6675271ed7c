/* SPDX-License-Identifier: MIT */
/*
 * The carry of a comparison before the loop is read behind it, where the
 * pointer's addition has set it anew.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O2 at .Lfix */
SYM_FUNC_START(carry_lost)
	xor	%eax, %eax
	mov	%rdx, %rcx
	cmp	$4, %rdx
	jb	.Lout8
	cmp	$100, %rdx
.Lread:
	mov	(%rsi), %r8b
	mov	%r8b, (%rdi)
	lea	1(%rsi), %rsi
	add	$1, %rdi
	dec	%rcx
	jnz	.Lread
	RET
.Lout8:
.Lcopy:
	rep	movsb
	RET
.Lfix:
	sbb	%rax, %rax
	and	$1, %eax
	add	%rcx, %rax
	RET
.Lfixb:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lcopy, .Lfixb, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(carry_lost)
