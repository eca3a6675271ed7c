/* SPDX-License-Identifier: MIT */
/*
 * Stores with xadd, which adds to what dst held.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O6 at success */
/* expect: refuted O6 at .Lfix */
/* expect: refuted O8 at * */
SYM_FUNC_START(xadd_store)
	test	%rdx, %rdx
	jz	.Lout
.Lread:
	mov	(%rsi), %al
	xadd	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rdx
	jnz	.Lread
.Lout:
	mov	%rdx, %rax
	RET
.Lfix:
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(xadd_store)
