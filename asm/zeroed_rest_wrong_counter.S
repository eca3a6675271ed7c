/* SPDX-License-Identifier: MIT */
/*
 * Bytes, and what cannot be read is zeroed in dst. What is returned is what is
 * left to be zeroed, which is nothing, and not what is left to be copied.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract uaccess_zeroing */
/* expect: refuted O3 at .Lfix_copy */
/* expect: refuted O3 at .Lfix_zero */
SYM_FUNC_START(zeroed_rest)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET

.Lfix_copy:
	mov	%rcx, %rdx		/* rdx: bytes left */
	xor	%eax, %eax
.Lzero:
	rep	stosb
.Lfix_zero:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_UA(.Lcopy, .Lfix_copy)
	_ASM_EXTABLE_UA(.Lzero, .Lfix_zero)
SYM_FUNC_END(zeroed_rest)
