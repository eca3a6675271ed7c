/* SPDX-License-Identifier: MIT */
/*
 * The first routine is covered, the second has no entry at all: a file is proved
 * only when all its routines are.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: hidden: proved */
/* expect: overlooked: refuted O1 at .Lbare */
SYM_FUNC_START(hidden)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(hidden)

SYM_FUNC_START(overlooked)
	mov	%rdx, %rcx
.Lbare:
	rep movsb
	xor	%eax, %eax
	RET
SYM_FUNC_END(overlooked)
