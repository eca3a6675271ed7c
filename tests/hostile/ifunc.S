/* SPDX-License-Identifier: MIT */
/*
 * The result comes from an IFUNC: what lies at its address only chooses the routine
 * that a call goes to, and nobody knows what that one returns.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left for ifunc */
/* expect: ifunc: refuted O2 at success */
/* expect: ifunc: refuted O3 at success */
/* expect: ifunc: refuted O4 at success */
/* expect: ifunc: refuted O6 at success */
/* expect: ifunc: refuted O7 at success */
/* expect: ifunc: refuted O9 at success */
/* unknown: where it goes is outside the file */
SYM_FUNC_START(ifunc)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	jmp	all_done
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(ifunc)

	.type	all_done, @gnu_indirect_function
all_done:
	xor	%eax, %eax
	RET
	.size	all_done, . - all_done
