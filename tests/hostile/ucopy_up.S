/* SPDX-License-Identifier: MIT */
/*
 * The handler takes what is done from the length: rcx = -1 * rcx + register.
 * One routine names the register that is one too high.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: ucopy_up: proved */
SYM_FUNC_START(ucopy_up)
	xor	%ecx, %ecx
	test	%rdx, %rdx
	jz	.Lright_out
.Lright:
	mov	(%rsi,%rcx), %al
	mov	%al, (%rdi,%rcx)
	inc	%rcx
	cmp	%rdx, %rcx
	jne	.Lright
.Lright_out:
	xor	%eax, %eax
	RET
.Lright_fix:
	mov	%rcx, %rax
	RET
	_ASM_EXTABLE_TYPE_REG(.Lright, .Lright_fix, EX_TYPE_UCOPY_LEN | EX_DATA_IMM(-1), %rdx)
SYM_FUNC_END(ucopy_up)

/* expect: ucopy_up_high: refuted O2 at .Lhigh_fix */
/* expect: ucopy_up_high: refuted O4 at .Lhigh_fix */
SYM_FUNC_START(ucopy_up_high)
	xor	%ecx, %ecx
	lea	1(%rdx), %r8
	test	%rdx, %rdx
	jz	.Lhigh_out
.Lhigh:
	mov	(%rsi,%rcx), %al
	mov	%al, (%rdi,%rcx)
	inc	%rcx
	cmp	%rdx, %rcx
	jne	.Lhigh
.Lhigh_out:
	xor	%eax, %eax
	RET
.Lhigh_fix:
	mov	%rcx, %rax
	RET
	_ASM_EXTABLE_TYPE_REG(.Lhigh, .Lhigh_fix, EX_TYPE_UCOPY_LEN | EX_DATA_IMM(-1), %r8)
SYM_FUNC_END(ucopy_up_high)
