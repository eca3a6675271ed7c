/* SPDX-License-Identifier: MIT */
/*
 * The outcome of a comparison goes through ah and back to choose the count.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: proved */
SYM_FUNC_START(flags_byte)
	mov	%rdx, %rcx
	cmp	$64, %rdx
	lahf
	mov	%eax, %r8d
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfix:
	mov	%r8d, %eax
	sahf
	mov	%rcx, %rax
	cmovb	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(flags_byte)
