/* SPDX-License-Identifier: MIT */
/*
 * memcpy_64.S with a fixup that works its sum out in rax, where the exception
 * handler has put the trap number: it returns the count twice.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract mcsafe_ret */
/* expect: refuted O9 at .Lfix_w */
SYM_FUNC_START(memcpy_trap)
	cmp	$8, %rdx
	jb	.Lrest			/* too short to be worth aligning */

	mov	%esi, %ecx
	neg	%ecx
	and	$7, %ecx		/* rcx: bytes up to the boundary */
	jz	.Laligned
	sub	%rcx, %rdx		/* rdx: bytes from there on */
.Lread_a:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%ecx
	jnz	.Lread_a

.Laligned:
	mov	%rdx, %rcx
	shr	$6, %rcx		/* rcx: blocks to go */
	jz	.Lwords
	and	$63, %edx		/* rdx: bytes behind the last block */
.Lread_b0:
	mov	(%rsi), %r8
.Lread_b1:
	mov	8(%rsi), %r9
.Lread_b2:
	mov	16(%rsi), %r10
.Lread_b3:
	mov	24(%rsi), %r11
	mov	%r8, (%rdi)
	mov	%r9, 8(%rdi)
	mov	%r10, 16(%rdi)
	mov	%r11, 24(%rdi)
.Lread_b4:
	mov	32(%rsi), %r8
.Lread_b5:
	mov	40(%rsi), %r9
.Lread_b6:
	mov	48(%rsi), %r10
.Lread_b7:
	mov	56(%rsi), %r11
	mov	%r8, 32(%rdi)
	mov	%r9, 40(%rdi)
	mov	%r10, 48(%rdi)
	mov	%r11, 56(%rdi)
	add	$64, %rsi
	add	$64, %rdi
	dec	%rcx
	jnz	.Lread_b0

.Lwords:
	mov	%edx, %ecx
	and	$7, %edx		/* rdx: bytes behind the last word */
	shr	$3, %ecx		/* rcx: words to go */
	jz	.Lrest
.Lread_w:
	mov	(%rsi), %rax
	mov	%rax, (%rdi)
	add	$8, %rsi
	add	$8, %rdi
	dec	%ecx
	jnz	.Lread_w

.Lrest:
	test	%edx, %edx
	jz	.Lall
.Lread_t:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%edx
	jnz	.Lread_t
.Lall:
	xor	%eax, %eax
	RET				/* rdx has become zero */

	/* A stub per load: rax is the trap number, rdx becomes the count. */
.Lfix_a:
	add	%rcx, %rdx
	RET
.Lfix_b0:
	shl	$6, %rcx
	add	%rcx, %rdx
	RET
.Lfix_b1:
	shl	$6, %rcx
	add	%rcx, %rdx
	RET
.Lfix_b2:
	shl	$6, %rcx
	add	%rcx, %rdx
	RET
.Lfix_b3:
	shl	$6, %rcx
	add	%rcx, %rdx
	RET
.Lfix_b4:
	shl	$6, %rcx
	lea	-32(%rdx,%rcx), %rdx
	RET
.Lfix_b5:
	shl	$6, %rcx
	lea	-32(%rdx,%rcx), %rdx
	RET
.Lfix_b6:
	shl	$6, %rcx
	lea	-32(%rdx,%rcx), %rdx
	RET
.Lfix_b7:
	shl	$6, %rcx
	lea	-32(%rdx,%rcx), %rdx
	RET
.Lfix_w:
	lea	(%rdx,%rcx,8), %rax
	mov	%rax, %rdx
	RET
.Lfix_t:
	RET

	_ASM_EXTABLE_FAULT(.Lread_a, .Lfix_a)
	_ASM_EXTABLE_FAULT(.Lread_b0, .Lfix_b0)
	_ASM_EXTABLE_FAULT(.Lread_b1, .Lfix_b1)
	_ASM_EXTABLE_FAULT(.Lread_b2, .Lfix_b2)
	_ASM_EXTABLE_FAULT(.Lread_b3, .Lfix_b3)
	_ASM_EXTABLE_FAULT(.Lread_b4, .Lfix_b4)
	_ASM_EXTABLE_FAULT(.Lread_b5, .Lfix_b5)
	_ASM_EXTABLE_FAULT(.Lread_b6, .Lfix_b6)
	_ASM_EXTABLE_FAULT(.Lread_b7, .Lfix_b7)
	_ASM_EXTABLE_FAULT(.Lread_w, .Lfix_w)
	_ASM_EXTABLE_FAULT(.Lread_t, .Lfix_t)
SYM_FUNC_END(memcpy_trap)
