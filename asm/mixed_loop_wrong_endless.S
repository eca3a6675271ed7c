/* SPDX-License-Identifier: MIT */
/*
 * mixed_loop.S whose head takes a word only if there is more than one. With
 * exactly one left it finds no odd bytes either, and goes round for ever.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O9 at * */
SYM_FUNC_START(mixed_loop)
	jmp	.Lmore
.Lhead:
	cmp	$8, %rdx
	ja	.Lread_w
	mov	%edx, %ecx
	and	$7, %ecx		/* rcx: bytes in this run */
	jz	.Lmore
.Lread_b:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rdx
	dec	%ecx
	jnz	.Lread_b
	jmp	.Lmore
.Lread_w:
	mov	(%rsi), %rax
	mov	%rax, (%rdi)
	add	$8, %rsi
	add	$8, %rdi
	sub	$8, %rdx
.Lmore:
	test	%rdx, %rdx		/* rdx: bytes to go */
	jnz	.Lhead
	xor	%eax, %eax
	RET

.Lfix_b:
	mov	%rdx, %rax
	RET
.Lfix_w:
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread_b, .Lfix_b, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_w, .Lfix_w, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(mixed_loop)
