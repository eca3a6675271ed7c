/* SPDX-License-Identifier: MIT */
/*
 * The head of the loop is the first instruction of the routine.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: proved */
SYM_FUNC_START(loop_entry)
	test	%rdx, %rdx
	jz	.Lout
.Lread:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rdx
	jmp	loop_entry
.Lout:
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(loop_entry)
