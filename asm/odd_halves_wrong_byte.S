/* SPDX-License-Identifier: MIT */
/*
 * A byte where dst is odd, then pairs of bytes, then perhaps another byte, which the
 * fixup of the pairs forgets.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O3 at .Lfix_pair */
SYM_FUNC_START(odd_halves)
	mov	%rdx, %rcx
	test	%rcx, %rcx
	jz	.Lall
	test	$1, %dil
	jz	.Lpairs
.Lread_first:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rcx
.Lpairs:
	mov	%rcx, %rdx
	shr	%rdx			/* rdx: pairs to go */
	jz	.Lodd
.Lread_pair:
	mov	(%rsi), %ax
	mov	%ax, (%rdi)
	add	$2, %rsi
	add	$2, %rdi
	dec	%rdx
	jnz	.Lread_pair
.Lodd:
	test	$1, %cl
	jz	.Lall
.Lread_last:
	mov	(%rsi), %al
	mov	%al, (%rdi)
.Lall:
	xor	%eax, %eax
	RET

.Lfix_first:
	mov	%rcx, %rax
	RET

.Lfix_pair:
	lea	(%rdx,%rdx), %rax
	RET

.Lfix_last:
	mov	$1, %eax
	RET

	_ASM_EXTABLE(.Lread_first, .Lfix_first)
	_ASM_EXTABLE(.Lread_pair, .Lfix_pair)
	_ASM_EXTABLE(.Lread_last, .Lfix_last)
SYM_FUNC_END(odd_halves)
