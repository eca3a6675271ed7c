/* SPDX-License-Identifier: MIT */
/*
 * Returns the carry of a byte in memory that was shifted by 17, which is
 * undefined.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O2 at success */
/* expect: refuted O4 at success */
/* expect: refuted O9 at success */
/* unknown: the CPU of the runs has a value for it */
SYM_FUNC_START(shifted_in_memory)
	mov	%rdx, %r9
	push	$1
	mov	$17, %ecx
	shlb	%cl, (%rsp)
	setc	%r8b
	movzbl	%r8b, %r8d
	pop	%rcx
	mov	%r9, %rcx
.Lcopy:
	rep	movsb
	mov	%r8, %rax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(shifted_in_memory)
