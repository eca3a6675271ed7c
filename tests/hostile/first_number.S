/* SPDX-License-Identifier: MIT */
/*
 * After two faults it returns the trap number of the first.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract mcsafe_ret */
/* expect: refuted O9 at .Lfix_again */
SYM_FUNC_START(first_number)
	mov	%rdx, %r8
	mov	%rdx, %rcx
	shr	$3, %rcx
	and	$7, %edx
.Lread_w:
	rep	movsq
	mov	%edx, %ecx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	xor	%edx, %edx
	RET
.Lfix_w:
	mov	%eax, %r9d
	lea	(%rdx,%rcx,8), %rcx
.Lagain:
	rep	movsb
	xor	%eax, %eax
	xor	%edx, %edx
	RET
.Lfix:
	mov	%rcx, %rdx
	RET
.Lfix_again:
	mov	%rcx, %rdx
	mov	%r9d, %eax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_FAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_w, .Lfix_w, EX_TYPE_FAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lagain, .Lfix_again, EX_TYPE_FAULT_MCE_SAFE)
SYM_FUNC_END(first_number)
