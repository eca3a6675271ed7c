/* SPDX-License-Identifier: MIT */
/*
 * Words, then bytes. ecx says whether what cannot be copied is to be zeroed: a
 * copy to user memory, or one that another follows, leaves it alone.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract uaccess_zero_flag */
/* expect: proved */
SYM_FUNC_START(zero_flag)
	mov	%ecx, %r8d		/* r8d: whether to zero the rest */
	mov	%rdx, %rcx
	shr	$3, %rcx
	and	$7, %edx
.Lcopy_q:
	rep	movsq
	mov	%edx, %ecx
.Lcopy_b:
	rep	movsb
	xor	%eax, %eax
	RET

.Lfix_q:
	lea	(%rdx,%rcx,8), %rcx
.Lfix_b:
	mov	%rcx, %rdx		/* rdx: bytes left */
	test	%r8d, %r8d
	jz	.Lfix_zero
	xor	%eax, %eax
.Lzero:
	rep	stosb
.Lfix_zero:
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE_UA(.Lcopy_q, .Lfix_q)
	_ASM_EXTABLE_UA(.Lcopy_b, .Lfix_b)
	_ASM_EXTABLE_UA(.Lzero, .Lfix_zero)
SYM_FUNC_END(zero_flag)
