/* SPDX-License-Identifier: MIT */
/*
 * Copies blocks of 8 bytes through a move between vector registers in its rarer
 * encoding, in which the last operand is what ModRM calls r/m: it writes xmm6, and
 * the store that follows stores what happens to be in xmm1.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O6 at success */
/* expect: refuted O6 at .Lfix */
SYM_FUNC_START(move_backwards)
	mov	%rdx, %rcx
	cmp	$8, %rcx
	jb	.Ltail
.Lread_q:
	vmovq	(%rsi), %xmm6
	{store} vmovsd %xmm1, %xmm5, %xmm6
	vmovq	%xmm1, (%rdi)
	add	$8, %rsi
	add	$8, %rdi
	sub	$8, %rcx
	cmp	$8, %rcx
	jae	.Lread_q
.Ltail:
	test	%rcx, %rcx
	jz	.Lall
.Lread_b:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rcx
	jnz	.Lread_b
.Lall:
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread_q, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_b, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(move_backwards)
