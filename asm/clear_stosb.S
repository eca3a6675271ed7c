/* SPDX-License-Identifier: MIT */
/*
 * Clear user memory with one instruction. The caller passes rax = 0; after a
 * fault rcx is the number of bytes that were not cleared.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract clear */
/* mcverify: faults stores */
/* expect: proved */
SYM_FUNC_START(clear_stosb)
.Lwrite_rep:
	rep stosb
	RET

.Lfix_rep:
	RET

	_ASM_EXTABLE_UA(.Lwrite_rep, .Lfix_rep)
SYM_FUNC_END(clear_stosb)
