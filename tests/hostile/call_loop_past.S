/* SPDX-License-Identifier: MIT */
/*
 * The fixup of a loop that is called returns past its caller, which is right for the second call alone.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O3 at .Lfix */
SYM_FUNC_START(call_loop_past)
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
	add	$8, %rsp
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(call_loop_past)
