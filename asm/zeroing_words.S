/* SPDX-License-Identifier: MIT */
/*
 * Words, then bytes. What cannot be read is zeroed in dst, byte by byte: the caller
 * looks at all of its buffer, whatever is returned.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract copy_zeroing */
/* mcverify: faults loads */
/* expect: proved */
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
	rep	stosb
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE_UA(.Lcopy_q, .Lfix_q)
	_ASM_EXTABLE_UA(.Lcopy_b, .Lfix_b)
	_ASM_EXTABLE_UA(.Lretry, .Lfix_b)
SYM_FUNC_END(zeroing_words)
