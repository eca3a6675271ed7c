/* SPDX-License-Identifier: MIT */
/*
 * Bytes, and what cannot be read is zeroed in dst: its caller gave a buffer of
 * the kernel, and must not see what lay there before. What is zeroed is left.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract uaccess_zeroing */
/* expect: proved */
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
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE_UA(.Lcopy, .Lfix_copy)
	_ASM_EXTABLE_UA(.Lzero, .Lfix_zero)
SYM_FUNC_END(zeroed_rest)
