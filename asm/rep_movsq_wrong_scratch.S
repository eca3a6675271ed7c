/* SPDX-License-Identifier: MIT */
/*
 * rep_movsq.S whose fixup works its sum out in rbx, which belongs to the caller.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O7 at .Lfix_q */
SYM_FUNC_START(rep_movsq)
	mov	%rdx, %rcx
	and	$7, %edx
	shr	$3, %rcx
.Lread_q:
	rep movsq
	mov	%edx, %ecx
.Lread_b:
	rep movsb
	xor	%eax, %eax
	RET

.Lfix_q:
	lea	(%rdx,%rcx,8), %rbx
	mov	%rbx, %rax
	RET
.Lfix_b:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread_q, .Lfix_q, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_b, .Lfix_b, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(rep_movsq)
