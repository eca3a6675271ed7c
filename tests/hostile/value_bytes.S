/* SPDX-License-Identifier: MIT */
/*
 * A value stored byte by byte. One stops a byte early, one shifts the low half
 * alone.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract put_user_4 */
/* expect: value_bytes: proved */
SYM_FUNC_START(value_bytes)
	push	%rax
	push	%rcx
	push	%rdx
	mov	$4, %edx
.Lright:
	mov	%al, (%rcx)
	shr	$8, %rax
	inc	%rcx
	dec	%edx
	jnz	.Lright
	pop	%rdx
	pop	%rcx
	pop	%rax
	xor	%ecx, %ecx
	RET
.Lright_fix:
	pop	%rdx
	pop	%rcx
	pop	%rax
	mov	$-14, %ecx
	RET
	_ASM_EXTABLE_UA(.Lright, .Lright_fix)
SYM_FUNC_END(value_bytes)

/* expect: value_bytes_early: refuted O9 at success */
SYM_FUNC_START(value_bytes_early)
	push	%rax
	push	%rcx
	push	%rdx
	mov	$3, %edx
.Learly:
	mov	%al, (%rcx)
	shr	$8, %rax
	inc	%rcx
	dec	%edx
	jnz	.Learly
	pop	%rdx
	pop	%rcx
	pop	%rax
	xor	%ecx, %ecx
	RET
.Learly_fix:
	pop	%rdx
	pop	%rcx
	pop	%rax
	mov	$-14, %ecx
	RET
	_ASM_EXTABLE_UA(.Learly, .Learly_fix)
SYM_FUNC_END(value_bytes_early)

/* expect: value_bytes_half: refuted O6 at success */
/* expect: value_bytes_half: refuted O6 at .Lhalf_fix */
SYM_FUNC_START(value_bytes_half)
	push	%rax
	push	%rcx
	push	%rdx
	mov	$4, %edx
.Lhalf:
	mov	%al, (%rcx)
	shr	$8, %ax
	inc	%rcx
	dec	%edx
	jnz	.Lhalf
	pop	%rdx
	pop	%rcx
	pop	%rax
	xor	%ecx, %ecx
	RET
.Lhalf_fix:
	pop	%rdx
	pop	%rcx
	pop	%rax
	mov	$-14, %ecx
	RET
	_ASM_EXTABLE_UA(.Lhalf, .Lhalf_fix)
SYM_FUNC_END(value_bytes_half)
