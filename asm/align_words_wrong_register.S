/* SPDX-License-Identifier: MIT */
/*
 * align_words.S whose alignment fixup adds r8 where it means rcx. With a word to
 * come the sum exceeds the length, without one it is too small.
 *
 * The x86-64 user copy added r8d for ecx until afd962a9e870 (2008).
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O2 at .Lfix_a */
/* expect: refuted O3 at .Lfix_a */
SYM_FUNC_START(align_words)
	cmp	$8, %rdx
	jb	.Lrest
	mov	%esi, %ecx
	neg	%ecx
	and	$7, %ecx		/* rcx: bytes up to the boundary */
	sub	%rcx, %rdx		/* rdx: bytes from there on */
	mov	%rdx, %r8
	and	$-8, %r8		/* r8: of these, bytes in words */
	test	%ecx, %ecx
	jz	.Laligned
.Lread_a:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rcx
	jnz	.Lread_a
.Laligned:
	sub	%r8, %rdx		/* rdx: bytes behind the last word */
	test	%r8, %r8
	jz	.Lrest
.Lread_w:
	mov	(%rsi), %rax
	mov	%rax, (%rdi)
	add	$8, %rsi
	add	$8, %rdi
	sub	$8, %r8
	jnz	.Lread_w
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
	xor	%eax, %eax
	RET

.Lfix_a:
	add	%r8, %rdx
	mov	%rdx, %rax
	RET
.Lfix_w:
	lea	(%rdx,%r8), %rax
	RET
.Lfix_b:
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread_a, .Lfix_a, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_w, .Lfix_w, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_b, .Lfix_b, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(align_words)
