/* SPDX-License-Identifier: MIT */
/*
 * Returns the wrong trap number for one length, and a loop lies between the
 * fault and the return.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract mcsafe_ret */
/* expect: refuted O9 at .Lfix */
SYM_FUNC_START(trap_after_loop)
	mov	%rdx, %r8
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	xor	%edx, %edx
	RET
.Lfix:
	mov	%rcx, %rdx
	mov	$3, %ecx
.Lwait:
	dec	%ecx
	jnz	.Lwait
	and	$16, %eax
	shr	$2, %eax
	add	$14, %eax
	cmp	$77777, %r8
	jne	.Lright
	mov	$14, %eax
.Lright:
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_FAULT_MCE_SAFE)
SYM_FUNC_END(trap_after_loop)
