/* SPDX-License-Identifier: MIT */
/*
 * The word that crosses the back edge is the one after the next.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O6 at success */
/* expect: refuted O6 at .Lfix */
SYM_FUNC_START(pipelined_swapped)
	mov	%rdx, %rcx
	test	%rcx, %rcx
	jz	.Lout
.Lfirst:
	mov	(%rsi), %al
	dec	%rcx
	jz	.Llast
.Lread:
	mov	1(%rsi), %r8b
	mov	%r8b, (%rdi)
	xchg	%r8b, %al
	inc	%rsi
	inc	%rdi
	dec	%rcx
	jnz	.Lread
.Llast:
	mov	%al, (%rdi)
.Lout:
	xor	%eax, %eax
	RET
.Lfix:
	lea	1(%rcx), %rax
	RET
.Lfix0:
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lfirst, .Lfix0, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(pipelined_swapped)
