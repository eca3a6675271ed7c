/* SPDX-License-Identifier: MIT */
/*
 * Wrong for len = 0 alone, and there only at a rare alignment of src: what is
 * said of one byte of the buffer says nothing of a buffer without bytes.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O2 at success */
/* expect: refuted O7 at success */
/* expect: refuted O8 at * */
/* expect: refuted O9 at success */
/* unknown: no run of the grid has that alignment */
SYM_FUNC_START(len0_clobber)
	test	%rdx, %rdx
	jnz	.Lgo
	mov	%esi, %eax
	and	$0xfffff, %eax
	cmp	$0x12345, %eax
	jne	.Lgo
	mov	$77, %eax
	mov	$1, %ebx
	movb	$0, 5000000(%rdi)
	RET
.Lgo:
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(len0_clobber)
