/* SPDX-License-Identifier: MIT */
/*
 * The fixup is said to lie where another section happens to be in the object's
 * order.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* hostile: refused fixup */
/* mcverify: contract bytes_left */
/* expect: refuted O7 at .Lcopy */
SYM_FUNC_START(fixup_beyond)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
	_ASM_EXTABLE_TYPE(.Lcopy, fixup_beyond + 0x4000, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(fixup_beyond)

	.section .text.a, "ax"
	mov	%rcx, %rax
	RET
	.section .text.b, "ax"
	mov	%rcx, %rax
	RET
	.section .text.c, "ax"
	mov	%rcx, %rax
	RET
	.section .text.d, "ax"
	mov	%rcx, %rax
	RET
