/* SPDX-License-Identifier: MIT */
/*
 * Its frame is as large as half the stack that the kernel has: what lies there may
 * be no stack any more.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O7 at * */
/* unknown: the stack may have ended: no path is followed there */
SYM_FUNC_START(deep_frame)
	mov	%rdx, %rcx
	sub	$0x2000, %rsp
	push	%rbx
.Lcopy:
	rep	movsb
	pop	%rbx
	add	$0x2000, %rsp
	xor	%eax, %eax
	RET
.Lfix:
	pop	%rbx
	add	$0x2000, %rsp
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(deep_frame)
