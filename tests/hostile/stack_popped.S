/* SPDX-License-Identifier: MIT */
/*
 * Takes rsp past the return address and a word of its caller, and back: an
 * interrupt in between overwrites that word.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O7 at * */
/* unknown: no interrupt comes in a run */
SYM_FUNC_START(stack_popped)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	pop	%rax
	add	$8, %rsp
	sub	$8, %rsp
	push	%rax
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(stack_popped)
