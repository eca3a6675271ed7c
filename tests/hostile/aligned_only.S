/* SPDX-License-Identifier: MIT */
/*
 * Rounds the source down to a word: right where it is one.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O4 at .Lfix */
/* expect: refuted O6 at success */
/* expect: refuted O6 at .Lfix */
/* expect: refuted O8 at * */
SYM_FUNC_START(aligned_only)
	mov	%rdx, %rcx
	and	$-8, %rsi
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(aligned_only)
