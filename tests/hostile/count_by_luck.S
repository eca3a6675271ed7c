/* SPDX-License-Identifier: MIT */
/*
 * The count is taken modulo a page.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O3 at .Lfix */
SYM_FUNC_START(count_by_luck)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfix:
	mov	%ecx, %eax
	and	$4095, %eax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(count_by_luck)
