/* SPDX-License-Identifier: MIT */
/*
 * Counts the blocks up with adc, and the carry is not always clear.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O3 at .Lfix */
SYM_FUNC_START(adc_count)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfix:
	xor	%eax, %eax
	cmp	$888888, %rdx
	sbb	$0, %rcx
	adc	$0, %rcx
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(adc_count)
