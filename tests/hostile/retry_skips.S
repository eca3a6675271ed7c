/* SPDX-License-Identifier: MIT */
/*
 * After a fault of a word the rest goes byte by byte, but for the first.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O3 at .Lfix */
/* expect: refuted O4 at .Lfix */
/* expect: refuted O3 at .Lfixq */
/* expect: refuted O4 at .Lfixq */
SYM_FUNC_START(retry_skips)
	mov	%rdx, %rcx
	shr	$3, %rcx
	and	$7, %edx
.Lcopy:
	rep	movsq
	mov	%rdx, %rcx
.Lbytes:
	rep	movsb
	mov	%rcx, %rax
	RET
.Lfixq:
	lea	(%rdx,%rcx,8), %rcx
	inc	%rsi
	inc	%rdi
	dec	%rcx
	jmp	.Lbytes
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfixq, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lbytes, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(retry_skips)
