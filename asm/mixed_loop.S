/* SPDX-License-Identifier: MIT */
/*
 * One loop head that decides between a word and a run of bytes, and one tail
 * that comes back to it while anything is left. It ends because the head takes
 * a word whenever there is a whole one.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: proved */
SYM_FUNC_START(mixed_loop)
	jmp	.Lmore
.Lhead:
	cmp	$8, %rdx
	jae	.Lread_w
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
