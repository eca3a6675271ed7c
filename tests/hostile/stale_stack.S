/* SPDX-License-Identifier: MIT */
/*
 * Takes rbx back from a stack word that it has popped already: an interrupt, and
 * the fault itself, push their frame over it, since the kernel has no red zone.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O7 at success */
/* expect: refuted O7 at .Lfix */
SYM_FUNC_START(stale_stack)
	push	%rbx
	pop	%rax
	mov	%rdx, %rcx
	xor	%ebx, %ebx
.Lcopy:
	rep	movsb
	sub	$8, %rsp
	pop	%rbx
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	sub	$8, %rsp
	pop	%rbx
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(stale_stack)
