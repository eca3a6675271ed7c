/* SPDX-License-Identifier: MIT */
/*
 * Copies from the end: the bytes behind the fault are stored.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O4 at .Lfix */
/* expect: refuted O3 at .Lfix */
SYM_FUNC_START(backward)
	mov	%rdx, %rcx
	test	%rcx, %rcx
	jz	.Lout
.Lread:
	mov	-1(%rsi,%rcx), %al
	mov	%al, -1(%rdi,%rcx)
	dec	%rcx
	jnz	.Lread
.Lout:
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(backward)
