/* SPDX-License-Identifier: MIT */
/*
 * rep_movsb.S whose fixup returns zero, "to pretend that this copy succeeded":
 * the caller takes bytes for copied that never were.
 *
 * So did the x86-64 user copy after a machine check, from a2f73400e4df (5.10) on.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O3 at .Lfix_rep */
SYM_FUNC_START(rep_movsb)
	mov	%rdx, %rcx
.Lread_rep:
	rep movsb
	xor	%eax, %eax
	RET

.Lfix_rep:
	xor	%eax, %eax
	RET

	_ASM_EXTABLE_TYPE(.Lread_rep, .Lfix_rep, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(rep_movsb)
