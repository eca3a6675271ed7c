/* SPDX-License-Identifier: MIT */
/*
 * Two entries for one instruction that say different things: the kernel finds
 * one of them, nobody says which.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* hostile: refused differ */
/* expect: refuted O2 at .Lother */
SYM_FUNC_START(twice_two)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET
.Lother:
	mov	$-1, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lcopy, .Lother, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(twice_two)
