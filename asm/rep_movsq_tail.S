/* SPDX-License-Identifier: MIT */
/*
 * Words by rep movsq, then four, two and one byte as the low bits of the
 * length say. Each of the three loads has its own count: what the smaller
 * ones behind it would have copied, and its own size.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: proved */
SYM_FUNC_START(rep_movsq_tail)
	mov	%rdx, %rcx
	and	$7, %edx
	shr	$3, %rcx
.Lread_q:
	rep movsq

	test	$4, %dl
	jz	.Ltwo
.Lread_4:
	mov	(%rsi), %eax
	mov	%eax, (%rdi)
	add	$4, %rsi
	add	$4, %rdi
.Ltwo:
	test	$2, %dl
	jz	.Lone
.Lread_2:
	movzwl	(%rsi), %eax
	mov	%ax, (%rdi)
	add	$2, %rsi
	add	$2, %rdi
.Lone:
	test	$1, %dl
	jz	.Lall
.Lread_1:
	movzbl	(%rsi), %eax
	mov	%al, (%rdi)
.Lall:
	xor	%eax, %eax
	RET

.Lfix_q:
	lea	(%rdx,%rcx,8), %rax
	RET
.Lfix_4:
	mov	%rdx, %rax
	RET
.Lfix_2:
	mov	%edx, %eax
	and	$3, %eax
	RET
.Lfix_1:
	mov	$1, %eax
	RET

	_ASM_EXTABLE_TYPE(.Lread_q, .Lfix_q, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_4, .Lfix_4, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_2, .Lfix_2, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_1, .Lfix_1, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(rep_movsq_tail)
