/* SPDX-License-Identifier: MIT */
/*
 * Counts down by two: an odd length never meets zero.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O8 at * */
SYM_FUNC_START(wrap_measure)
	mov	%rdx, %rcx
.Lnext:
	test	%rcx, %rcx
	jz	.Lout
.Lread:
	mov	(%rsi), %ax
	mov	%ax, (%rdi)
	add	$2, %rsi
	add	$2, %rdi
	sub	$2, %rcx
	jmp	.Lnext
.Lout:
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(wrap_measure)
