/* SPDX-License-Identifier: MIT */
/*
 * Stores the complement of each byte: wrong data, but every byte is stored, even
 * where it happens to be what stood there before.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O6 at success */
/* expect: refuted O6 at .Lfix */
/* unknown: src has bytes from 1 to 127 in runs, dst their complements: no store is seen */
SYM_FUNC_START(complement)
	mov	%rdx, %rcx
	test	%rcx, %rcx
	jz	.Lout
.Lcopy:
	mov	(%rsi), %al
	not	%al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rcx
	jnz	.Lcopy
.Lout:
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(complement)
