/* SPDX-License-Identifier: MIT */
/*
 * Subtracts in 32 bits and branches as if the count were signed: a length of
 * 2^31 or more ends before it began.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* hostile: len-max 0x90000000 */
/* expect: refuted O3 at success */
/* expect: refuted O3 at .Lfixb */
/* expect: refuted O9 at success */
/* mcverify: contract bytes_left */
SYM_FUNC_START(signed_far)
	mov	%edx, %edx
.Lwords:
	sub	$8, %edx
	jl	.Ltail
.Lread:
	mov	(%rsi), %rax
	mov	%rax, (%rdi)
	add	$8, %rsi
	add	$8, %rdi
	jmp	.Lwords
.Ltail:
	and	$7, %edx
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfix:
	lea	8(%rdx), %rax
	RET
.Lfixb:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lcopy, .Lfixb, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(signed_far)
