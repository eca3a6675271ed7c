/* SPDX-License-Identifier: MIT */
/*
 * Calls itself for one byte at a time after a fault of a store in its loop of words; right.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* mcverify: faults both */
/* expect: proved */
SYM_FUNC_START(recursive)
	cmp	$8, %rdx
	jb	.Lbytes
	mov	%rdx, %rcx
	and	$7, %edx
	shr	$3, %rcx
.Lread_word:
	mov	(%rsi), %r8
.Lwrite_word:
	mov	%r8, (%rdi)
	add	$8, %rsi
	add	$8, %rdi
	dec	%rcx
	jnz	.Lread_word
.Lbytes:
	test	%rdx, %rdx
	jz	.Lsuccess
.Lread:
	mov	(%rsi), %al
.Lwrite:
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rdx
	jnz	.Lread
.Lsuccess:
	xor	%eax, %eax
	RET

.Lfix_word:
	push	%rbx
	push	%r12
	push	%r13
	lea	(%rdx,%rcx,8), %rbx
	mov	%rsi, %r12
	mov	%rdi, %r13
.Lagain:
	mov	%r12, %rsi
	mov	%r13, %rdi
	mov	$1, %edx
	call	recursive
	test	%rax, %rax
	jnz	.Lenough
	inc	%r12
	inc	%r13
	dec	%rbx
	jnz	.Lagain
.Lenough:
	mov	%rbx, %rax
	pop	%r13
	pop	%r12
	pop	%rbx
	RET
.Lfix:
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE(.Lread_word, .Lfix_word)
	_ASM_EXTABLE(.Lwrite_word, .Lfix_word)
	_ASM_EXTABLE(.Lread, .Lfix)
	_ASM_EXTABLE(.Lwrite, .Lfix)
SYM_FUNC_END(recursive)
