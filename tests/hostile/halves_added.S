/* SPDX-License-Identifier: MIT */
/*
 * Two halves that overlap in a byte are added: they carry into each other.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O6 at success */
/* expect: refuted O6 at .Lfix */
SYM_FUNC_START(halves_added)
	mov	%rdx, %rcx
	cmp	$8, %rdx
	jb	.Lcopy
.Lread_low:
	mov	(%rsi), %r8d
.Lread_high:
	mov	3(%rsi), %r9d
	shl	$24, %r9
	add	%r9, %r8
	mov	%r8d, (%rdi)
	add	$4, %rsi
	add	$4, %rdi
	sub	$4, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_low, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_high, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(halves_added)
