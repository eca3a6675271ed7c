/* SPDX-License-Identifier: MIT */
/*
 * Words go over the stack: a fault of the pop leaves one there.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: faults both */
/* mcverify: contract bytes_left */
/* expect: proved */
SYM_FUNC_START(push_pop)
	mov	%rdx, %rcx
	shr	$3, %rcx
	and	$7, %edx
	test	%rcx, %rcx
	jz	.Ltail
.Lpush:
	push	(%rsi)
.Lpop:
	pop	(%rdi)
	add	$8, %rsi
	add	$8, %rdi
	dec	%rcx
	jnz	.Lpush
.Ltail:
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfixpop:
	add	$8, %rsp
.Lfixpush:
	lea	(%rdx,%rcx,8), %rax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lpush, .Lfixpush, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lpop, .Lfixpop, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(push_pop)
