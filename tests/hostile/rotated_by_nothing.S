/* SPDX-License-Identifier: MIT */
/*
 * Returns the overflow flag behind a rotation through carry by 0, which leaves it
 * as the addition before has set it.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O2 at success */
/* expect: refuted O4 at success */
/* expect: refuted O9 at success */
SYM_FUNC_START(rotated_by_nothing)
	mov	%rdx, %r9
	mov	$0x7f, %al
	xor	%ecx, %ecx
	add	$1, %al
	rcl	%cl, %r8
	seto	%r8b
	movzbl	%r8b, %r8d
	mov	%r9, %rcx
.Lcopy:
	rep	movsb
	mov	%r8, %rax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(rotated_by_nothing)
