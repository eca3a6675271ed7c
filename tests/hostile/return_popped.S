/* SPDX-License-Identifier: MIT */
/*
 * Takes the return address off the stack and puts it back.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: proved */
/* unknown: it reaches the stack at and above the return address, where nothing is its own */
SYM_FUNC_START(return_popped)
	pop	%r9
	mov	%rdx, %rcx
	push	%r9
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(return_popped)
