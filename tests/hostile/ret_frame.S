/* SPDX-License-Identifier: MIT */
/*
 * A helper pops more than the caller has pushed, and until rsp is put back the
 * return address lies below it, where an interrupt stores.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O7 at * */
/* unknown: no interrupt comes in a run */
SYM_FUNC_START(ret_frame)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	mov	(%rsp), %r8
	call	.Lpops
	lea	-16(%rsp), %rsp
	mov	%r8, (%rsp)
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET
.Lpops:
	ret	$16

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(ret_frame)
