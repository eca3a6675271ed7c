/* SPDX-License-Identifier: MIT */
/*
 * Saved registers are restored in the wrong order on one path, and for one
 * length.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O7 at .Lfix */
SYM_FUNC_START(saved_swapped)
	push	%rbx
	push	%rbp
	mov	%rdx, %rcx
	mov	%rdx, %rbx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	pop	%rbp
	pop	%rbx
	RET
.Lfix:
	mov	%rcx, %rax
	cmp	$44444, %rdx
	jne	.Lorder
	pop	%rbx
	pop	%rbp
	RET
.Lorder:
	pop	%rbp
	pop	%rbx
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(saved_swapped)
