/* SPDX-License-Identifier: MIT */
/*
 * Sets bytes to the value in sil, eight at a time, but the value is spread over
 * four bytes only: the upper half of each word is zero.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract fill */
/* expect: refuted O6 at success */
/* expect: refuted O6 at .Lfix_w */
/* expect: refuted O6 at .Lfix_b */
SYM_FUNC_START(fill_bytes)
	movzbl	%sil, %eax
	imul	$0x01010101, %eax, %eax
	mov	%rdx, %rcx
	shr	$3, %rcx
	jz	.Ltail
.Lstore_w:
	mov	%rax, (%rdi)
	add	$8, %rdi
	sub	$8, %rdx
	dec	%rcx
	jnz	.Lstore_w
.Ltail:
	mov	%rdx, %rcx
.Lstore_b:
	rep	stosb
	xor	%eax, %eax
	RET

.Lfix_b:
	mov	%rcx, %rdx
.Lfix_w:
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE_UA(.Lstore_w, .Lfix_w)
	_ASM_EXTABLE_UA(.Lstore_b, .Lfix_b)
SYM_FUNC_END(fill_bytes)
