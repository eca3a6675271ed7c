/* SPDX-License-Identifier: MIT */
/*
 * Returns at once where src is dst, which the contract excludes: nothing is to
 * be copied then. Right under it.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: proved */
/* unknown: that src is not dst is used for no goal without an access */
SYM_FUNC_START(same_buffer)
	cmp	%rsi, %rdi
	jne	.Lgo
	mov	%rdx, %rax
	test	%rdx, %rdx
	jnz	.Lquit
.Lgo:
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
.Lquit:
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(same_buffer)
