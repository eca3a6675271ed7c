/* SPDX-License-Identifier: MIT */
/*
 * The fixup reads the byte that has just faulted.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O1 at .Lfix */
SYM_FUNC_START(fixup_faults)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfix:
	mov	(%rsi), %al
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(fixup_faults)
