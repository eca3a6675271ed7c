/* SPDX-License-Identifier: MIT */
/*
 * The count lives in ah while al holds the data.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O3 at success */
/* expect: refuted O3 at .Lfix */
/* expect: refuted O9 at success */
SYM_FUNC_START(high_byte)
	mov	%dl, %ah
	test	%ah, %ah
	jz	.Lout
.Lread:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%ah
	jnz	.Lread
.Lout:
	xor	%eax, %eax
	RET
.Lfix:
	movzbl	%ah, %eax
	RET

	_ASM_EXTABLE_TYPE(.Lread, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(high_byte)
