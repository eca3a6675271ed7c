/* SPDX-License-Identifier: MIT */
/*
 * After a fault it takes rsp down again and returns to where a leaf has returned
 * to before: an interrupt, and the fault itself, push their frame over that.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O2 at .Lfix */
/* expect: refuted O3 at .Lfix */
/* expect: refuted O4 at .Lfix */
/* expect: refuted O7 at .Lfix */
/* expect: refuted O9 at * */
SYM_FUNC_START(return_stale)
	mov	%rdx, %rcx
	xor	%r8d, %r8d
	call	.Lleaf
	test	%r8d, %r8d
	jnz	.Lout
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfix:
	mov	$1, %r8d
	sub	$8, %rsp
	RET
.Lout:
	mov	%rcx, %rax
	RET
.Lleaf:
	jmp	__x86_return_thunk

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(return_stale)
