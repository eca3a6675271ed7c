/* SPDX-License-Identifier: MIT */
/*
 * Stores every byte one too far.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O3 at success */
/* expect: refuted O3 at .Lfix */
/* expect: refuted O4 at .Lfix */
/* expect: refuted O6 at success */
/* expect: refuted O6 at .Lfix */
/* expect: refuted O8 at * */
/* expect: refuted O9 at success */
SYM_FUNC_START(store_next)
	mov	%rdx, %rcx
	test	%rcx, %rcx
	jz	.Lout
.Lread:
	mov	(%rsi), %al
	mov	%al, 1(%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rcx
	jnz	.Lread
.Lout:
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(store_next)
