/* SPDX-License-Identifier: MIT */
/* bytes.S that counts in 32 bits: another count from 4 GiB on. */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
SYM_FUNC_START(copy)
	mov	%edx, %ecx
	test	%rcx, %rcx
	jz	.Lall
.Lread:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%ecx
	jnz	.Lread
.Lall:
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET
	_ASM_EXTABLE(.Lread, .Lfix)
SYM_FUNC_END(copy)
