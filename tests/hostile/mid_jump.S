/* SPDX-License-Identifier: MIT */
/*
 * Jumps into the middle of an instruction, where another one stands that
 * changes the count.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O4 at success */
/* expect: refuted O9 at success */
SYM_FUNC_START(mid_jump)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	cmp	$3, %rdx
	jne	.Lplain
	jmp	.Lplain + 1
.Lplain:
	.byte	0x3d
	.byte	0xb0, 0x01, 0xc3, 0x90
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(mid_jump)
