/* SPDX-License-Identifier: MIT */
/*
 * Moves as many words as there are bytes.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O8 at * */
/* expect: refuted O4 at .Lfix */
SYM_FUNC_START(rep_words)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsq
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(rep_words)
