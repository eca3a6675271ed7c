/* SPDX-License-Identifier: MIT */
/*
 * The entry is for the second byte of the string move, behind its prefix: the
 * kernel looks for the first.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* hostile: refused middle */
/* expect: refuted O1 at * */
SYM_FUNC_START(mid_entry)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy + 1, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(mid_entry)
