/* SPDX-License-Identifier: MIT */
/* bytes.S that overwrites r9, which the caller must not rely on. */
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
	xor	%r9d, %r9d
.Lall:
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET
	_ASM_EXTABLE(.Lread, .Lfix)
SYM_FUNC_END(copy)
