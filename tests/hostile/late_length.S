/* SPDX-License-Identifier: MIT */
/*
 * Turns back into its loop with a count that is larger than before, for one
 * length.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O8 at * */
/* expect: refuted O4 at .Lfix */
/* expect: refuted O9 at * */
/* unknown: no run of the grid has that length */
SYM_FUNC_START(late_length)
	mov	%rdx, %rcx
	test	%rcx, %rcx
	jz	.Lout
.Lread:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rcx
	xor	%r8d, %r8d
	cmp	$66666, %rdx
	sete	%r8b
	add	%r8, %rcx
	test	%rcx, %rcx
	jnz	.Lread
.Lout:
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(late_length)
