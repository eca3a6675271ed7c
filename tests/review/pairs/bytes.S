/* SPDX-License-Identifier: MIT */
/* Bytes, one after the other; rcx counts down. What the other files of this folder are compared with. */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
SYM_FUNC_START(copy)
	mov	%rdx, %rcx
	test	%rcx, %rcx
	jz	.Lall
.Lread:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rcx
	jnz	.Lread
.Lall:
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET
	_ASM_EXTABLE(.Lread, .Lfix)
SYM_FUNC_END(copy)
