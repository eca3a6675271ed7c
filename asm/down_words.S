/* SPDX-License-Identifier: MIT */
/*
 * Words are stored with the direction flag set: the loop inherited it from a
 * move that ran backwards. The flag is cleared behind the loop, and the fixup
 * of a load within it clears it too.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: proved */
SYM_FUNC_START(down_words)
	mov	%rdx, %rcx
	and	$7, %edx		/* rdx: bytes behind the last word */
	shr	$3, %rcx		/* rcx: words to go */
	jz	.Lrest
	std
.Lread_w:
	mov	(%rsi), %rax
	stosq				/* rdi goes down a word, */
	add	$16, %rdi		/* and up to the next one */
	add	$8, %rsi
	dec	%rcx
	jnz	.Lread_w
	cld
.Lrest:
	test	%edx, %edx
	jz	.Lall
.Lread_b:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%edx
	jnz	.Lread_b
.Lall:
	xor	%eax, %eax
	RET

.Lfix_w:
	cld
	lea	(%rdx,%rcx,8), %rax
	RET
.Lfix_b:
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread_w, .Lfix_w, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_b, .Lfix_b, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(down_words)
