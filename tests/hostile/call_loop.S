/* SPDX-License-Identifier: MIT */
/*
 * Calls a loop of its own from two places, of which each must know to where it returns; right.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: proved */
SYM_FUNC_START(call_loop)
	mov	%rdx, %rcx
	shr	%rcx
	sub	%rcx, %rdx
	xor	%r8d, %r8d
	call	.Lpart
	test	%r8d, %r8d
	jnz	.Lfirst
	mov	%rdx, %rcx
	call	.Lpart
	mov	%rcx, %rax
	RET
.Lfirst:
	lea	(%rcx,%rdx), %rax
	RET

.Lpart:
	test	%rcx, %rcx
	jz	.Ldone
.Lread:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rcx
	jnz	.Lread
.Ldone:
	RET
.Lfix:
	mov	$1, %r8d
	RET

	_ASM_EXTABLE_TYPE(.Lread, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(call_loop)
