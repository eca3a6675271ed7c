/* SPDX-License-Identifier: MIT */
/*
 * Keeps rbx below rsp, in a red zone that the kernel does not have.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O7 at * */
SYM_FUNC_START(red_zone)
	mov	%rbx, -8(%rsp)
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
SYM_FUNC_END(red_zone)
