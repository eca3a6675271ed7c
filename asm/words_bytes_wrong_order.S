/* SPDX-License-Identifier: MIT */
/*
 * words_bytes.S that swaps the bytes of each word on their way, as a routine for
 * the other byte order does: perfect counts over wrong data.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O6 at success */
/* expect: refuted O6 at .Lfix_w */
/* expect: refuted O6 at .Lfix_b */
SYM_FUNC_START(words_bytes)
	mov	%rdx, %rcx
	and	$7, %edx		/* rdx: bytes behind the last word */
	shr	$3, %rcx		/* rcx: words to go */
	jz	.Lrest
.Lread_w:
	mov	(%rsi), %rax
	bswap	%rax
	mov	%rax, (%rdi)
	add	$8, %rsi
	add	$8, %rdi
	dec	%rcx
	jnz	.Lread_w
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
	lea	(%rdx,%rcx,8), %rax
	RET
.Lfix_b:
	mov	%edx, %eax
	RET

	_ASM_EXTABLE_TYPE(.Lread_w, .Lfix_w, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_b, .Lfix_b, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(words_bytes)
