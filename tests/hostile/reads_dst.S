/* SPDX-License-Identifier: MIT */
/*
 * Copies through dst: what it stores second it reads back from there. The
 * footprint says that loads are of src.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O8 at * */
SYM_FUNC_START(reads_dst)
	test	%rdx, %rdx
	jz	.Lout
.Lread:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	mov	(%rdi), %cl
	inc	%rsi
	inc	%rdi
	dec	%rdx
	jnz	.Lread
.Lout:
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread, .Lout, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(reads_dst)
