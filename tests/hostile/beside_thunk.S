/* SPDX-License-Identifier: MIT */
/*
 * After a fault it goes to the page before an undefined symbol, where nobody
 * knows what will lie: not the return thunk.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O7 at .Lfix */
/* unknown: where it goes is outside the file */
SYM_FUNC_START(beside_thunk)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	jmp	__x86_return_thunk
.Lfix:
	mov	%rcx, %rax
	jmp	undefined - 0x1000

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(beside_thunk)
