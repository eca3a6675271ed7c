/* SPDX-License-Identifier: MIT */
/*
 * Returns the adjust flag as `and` leaves it, which is undefined.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O2 at success */
/* expect: refuted O4 at success */
/* expect: refuted O9 at success */
/* unknown: the CPU of the runs has a value for it */
SYM_FUNC_START(undefined_adjust)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	and	%eax, %eax
	lahf
	movzbl	%ah, %eax
	and	$16, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(undefined_adjust)
