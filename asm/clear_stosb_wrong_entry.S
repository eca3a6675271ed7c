/* SPDX-License-Identifier: MIT */
/*
 * clear_stosb.S with its table entry on the mov before the instruction that
 * faults. It reads well in the source, and covers nothing.
 *
 * clear_user() of 6.1.28 has it so.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract clear */
/* mcverify: faults stores */
/* expect: refuted O1 at .Lwrite_rep */
SYM_FUNC_START(clear_stosb)
.Lwrite:
	mov	%rcx, %rdx
.Lwrite_rep:
	rep stosb
	RET

.Lfix_rep:
	RET

	_ASM_EXTABLE_UA(.Lwrite, .Lfix_rep)
SYM_FUNC_END(clear_stosb)
