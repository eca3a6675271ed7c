/* SPDX-License-Identifier: MIT */
/*
 * sse.S whose second fixup rounds the count up to the block: sixteen bytes past
 * the claim are stored already.
 *
 * Since 3376136300a0 (5.17) the x86-64 user copy returns its first count after a
 * machine check, rounded to the block, and tries no further.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O4 at .Lfix_x1 */
SYM_FUNC_START(sse)
	mov	%rdx, %rcx
	and	$31, %edx		/* rdx: bytes behind the last block */
	and	$-32, %rcx		/* rcx: bytes in blocks to go */
	jz	.Lrest
.Lread_x0:
	movups	(%rsi), %xmm0
	movups	%xmm0, (%rdi)
.Lread_x1:
	movdqu	16(%rsi), %xmm1
	movdqu	%xmm1, 16(%rdi)
	add	$32, %rsi
	add	$32, %rdi
	sub	$32, %rcx
	jnz	.Lread_x0
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

.Lfix_x0:
	lea	(%rcx,%rdx), %rax
	RET
.Lfix_x1:
	lea	(%rcx,%rdx), %rax
	RET
.Lfix_b:
	mov	%edx, %eax
	RET

	_ASM_EXTABLE_TYPE(.Lread_x0, .Lfix_x0, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_x1, .Lfix_x1, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_b, .Lfix_b, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(sse)
