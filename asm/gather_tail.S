/* SPDX-License-Identifier: MIT */
/*
 * Words, then the last one to seven bytes gathered into a register before any
 * of them is stored. Gathering leaves the last byte lowest, so they are stored
 * from the end backwards, with the direction flag set for that long.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: proved */
SYM_FUNC_START(gather_tail)
	mov	%rdx, %rcx
	and	$7, %edx		/* rdx: bytes behind the last word */
	shr	$3, %rcx		/* rcx: words to go */
	jz	.Lrest
.Lread_w:
	mov	(%rsi), %rax
	mov	%rax, (%rdi)
	add	$8, %rsi
	add	$8, %rdi
	dec	%rcx
	jnz	.Lread_w
.Lrest:
	test	%edx, %edx
	jz	.Lall
.Lread_b:
	movzbl	(%rsi,%rcx), %r8d	/* rcx: bytes gathered, from zero */
	shl	$8, %rax
	or	%r8, %rax
	inc	%rcx
	cmp	%rdx, %rcx
	jb	.Lread_b

	lea	-1(%rdi,%rdx), %rdi	/* the last byte */
	std
.Lwrite_b:
	stosb
	shr	$8, %rax
	dec	%rcx
	jnz	.Lwrite_b
	cld
.Lall:
	xor	%eax, %eax
	RET

.Lfix_w:
	lea	(%rdx,%rcx,8), %rax
	RET
.Lfix_b:
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread_w, .Lfix_w, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_b, .Lfix_b, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(gather_tail)
