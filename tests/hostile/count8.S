/* SPDX-License-Identifier: MIT */
/*
 * The count is 8 bits wide: the loop ends when its low byte is 0.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O3 at success */
/* expect: refuted O9 at success */
SYM_FUNC_START(count8)
	test	%rdx, %rdx
	jz	.Lout
.Lread:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rdx
	test	%dl, %dl
	jnz	.Lread
.Lout:
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(count8)
