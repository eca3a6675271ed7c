/* SPDX-License-Identifier: MIT */
/*
 * The result comes from a weak routine: the linker takes another of that name
 * where some file defines it, and nobody knows what that one returns.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left for weak_helper */
/* expect: weak_helper: refuted O2 at success */
/* expect: weak_helper: refuted O3 at success */
/* expect: weak_helper: refuted O4 at success */
/* expect: weak_helper: refuted O6 at success */
/* expect: weak_helper: refuted O7 at success */
/* expect: weak_helper: refuted O9 at success */
/* unknown: another routine of that name may be linked: no run shows which */
SYM_FUNC_START(weak_helper)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	jmp	all_done
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(weak_helper)

	.weak	all_done
	.type	all_done, @function
all_done:
	xor	%eax, %eax
	RET
	.size	all_done, . - all_done
