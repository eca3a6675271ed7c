/* SPDX-License-Identifier: MIT */
/*
 * A helper takes its argument from the stack and pops it as it returns: right.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: ret_argument: proved */
SYM_FUNC_START(ret_argument)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	pushq	$0
	call	.Lgiven
	ret	$0
.Lfix:
	push	%rcx
	call	.Lgiven
	RET
.Lgiven:
	mov	8(%rsp), %rax
	ret	$8

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(ret_argument)
