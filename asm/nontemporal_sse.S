/* SPDX-License-Identifier: MIT */
/*
 * movntdq wants its destination on a multiple of sixteen: bytes until it is,
 * then sixteen bytes a move past the cache, then bytes. Only loads may fault;
 * one of sixteen bytes is tried again byte by byte.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract nocache */
/* mcverify: faults loads */
/* expect: proved */
SYM_FUNC_START(nontemporal_sse)
	mov	%edi, %ecx
	neg	%ecx
	and	$15, %ecx		/* rcx: bytes up to the boundary, */
	cmp	%rdx, %rcx
	cmova	%rdx, %rcx		/* but no more than there are */
	sub	%rcx, %rdx		/* rdx: bytes from there on */
	test	%ecx, %ecx
	jz	.Laligned
.Lread_a:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%ecx
	jnz	.Lread_a
.Laligned:
	cmp	$16, %rdx
	jb	.Lrest
.Lread_x:
	movdqu	(%rsi), %xmm0
	movntdq	%xmm0, (%rdi)
	add	$16, %rsi
	add	$16, %rdi
	sub	$16, %rdx
	cmp	$16, %rdx
	jae	.Lread_x
.Lrest:
	test	%rdx, %rdx
	jz	.Lall
.Lread_b:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rdx
	jnz	.Lread_b
.Lall:
	sfence
	xor	%eax, %eax
	RET

.Lfix_a:
	lea	(%rcx,%rdx), %rax	/* nothing non-temporal stored yet */
	RET
.Lfix_x:
	jmp	.Lread_b
.Lfix_b:
	sfence
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE_UA(.Lread_a, .Lfix_a)
	_ASM_EXTABLE_UA(.Lread_x, .Lfix_x)
	_ASM_EXTABLE_UA(.Lread_b, .Lfix_b)
SYM_FUNC_END(nontemporal_sse)
