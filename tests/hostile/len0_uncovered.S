/* SPDX-License-Identifier: MIT */
/*
 * Reads a byte of the source without an entry when there is none to read.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O1 at .Lread */
/* expect: refuted O8 at * */
SYM_FUNC_START(len0_uncovered)
	mov	%rdx, %rcx
	test	%rdx, %rdx
	jnz	.Lcopy
.Lread:
	mov	(%rsi), %al
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(len0_uncovered)
