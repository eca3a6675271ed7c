/* SPDX-License-Identifier: MIT */
/*
 * Stores the right byte and a wrong one behind it, for one length.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O6 at success */
/* expect: refuted O6 at .Lfix */
SYM_FUNC_START(store_twice_wrong)
	mov	%rdx, %rcx
	test	%rcx, %rcx
	jz	.Lout
.Lread:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	cmp	$33333, %rdx
	jne	.Lkeep
	movb	$0x5a, (%rdi)
.Lkeep:
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
SYM_FUNC_END(store_twice_wrong)
