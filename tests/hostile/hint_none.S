/* SPDX-License-Identifier: MIT */
/*
 * Writes back the line of the last byte, which for a length of 0 is one before dst.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* mcverify: faults both */
/* expect: refuted O1 at .Lhint */
/* expect: refuted O8 at * */
SYM_FUNC_START(hint_none)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
.Lhint:
	clwb	-1(%rdi)
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(hint_none)
