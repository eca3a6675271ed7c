/* SPDX-License-Identifier: MIT */
/*
 * Words, then bytes. What cannot be read is zeroed in dst word by word, and what
 * lies behind the last whole word is forgotten.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract copy_zeroing */
/* mcverify: faults loads */
/* expect: refuted O6 at .Lfix_b */
SYM_FUNC_START(zeroing_words)
	mov	%rdx, %rcx
	shr	$3, %rcx
	and	$7, %edx
.Lcopy_q:
	rep	movsq
	mov	%edx, %ecx
.Lcopy_b:
	rep	movsb
	xor	%eax, %eax
	RET

.Lfix_q:
	lea	(%rdx,%rcx,8), %rcx
	test	%rcx, %rcx
	jz	.Lfix_none
.Lretry:
	movzbl	(%rsi), %eax
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rcx
	jnz	.Lretry
.Lfix_none:
	xor	%eax, %eax
	RET
.Lfix_b:
	mov	%rcx, %rdx		/* rdx: bytes left */
	xor	%eax, %eax
	shr	$3, %rcx
	rep	stosq
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE_UA(.Lcopy_q, .Lfix_q)
	_ASM_EXTABLE_UA(.Lcopy_b, .Lfix_b)
	_ASM_EXTABLE_UA(.Lretry, .Lfix_b)
SYM_FUNC_END(zeroing_words)
