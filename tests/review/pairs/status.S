/* SPDX-License-Identifier: MIT */
/* bytes.S that reports one byte too many left after a fault. */
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
	lea	1(%rcx), %rax
	RET
	_ASM_EXTABLE(.Lread, .Lfix)
SYM_FUNC_END(copy)
