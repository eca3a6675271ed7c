/* SPDX-License-Identifier: MIT */
/*
 * It jumps out of its section, to where another one happens to lie in the
 * object's order. The linker may put anything there.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O7 at success */
/* unknown: where it goes is not known before it is linked */
SYM_FUNC_START(next_section)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	jmp	next_section + 0x4000
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(next_section)

	.section .text.a, "ax"
	ret
	.section .text.b, "ax"
	ret
	.section .text.c, "ax"
	ret
	.section .text.d, "ax"
	ret
