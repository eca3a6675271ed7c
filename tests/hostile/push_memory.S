/* SPDX-License-Identifier: MIT */
/*
 * A word goes from src over the stack to dst: one fault leaves it there, the
 * other not. Each fixup knows which.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: proved */
SYM_FUNC_START(push_memory)
	mov	%rdx, %rcx
	shr	$3, %rcx
	and	$7, %edx
	test	%rcx, %rcx
	jz	.Ltail
.Lpush:
	pushq	(%rsi)
	popq	(%rdi)
	add	$8, %rsi
	add	$8, %rdi
	dec	%rcx
	jnz	.Lpush
.Ltail:
	mov	%edx, %ecx
.Lcopy:
	rep	movsb
	mov	%rcx, %rax
	RET
.Lfix:
	lea	(%rdx,%rcx,8), %rax
	RET
.Lrest:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lpush, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lcopy, .Lrest, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(push_memory)
