/* SPDX-License-Identifier: MIT */
/*
 * Sets bytes to the value in sil: it is spread over a word, which is stored eight
 * bytes at a time, then byte by byte.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract fill */
/* expect: proved */
SYM_FUNC_START(fill_bytes)
	movzbl	%sil, %eax
	imul	$0x01010101, %eax, %eax
	mov	%rax, %rcx
	shl	$32, %rcx
	or	%rcx, %rax
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
