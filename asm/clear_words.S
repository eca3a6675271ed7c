/* SPDX-License-Identifier: MIT */
/*
 * Clear user memory: bytes until the destination is aligned, words, bytes. An
 * aligned word never straddles a cache line, so no good byte is left behind
 * and the seven bytes by which a clear may over-report are not used.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract clear */
/* mcverify: faults stores */
/* expect: proved */
SYM_FUNC_START(clear_words)
	cmp	$8, %rcx
	jb	.Lrest
.Lalign:
	test	$7, %dil
	jz	.Laligned
.Lwrite_a:
	mov	%al, (%rdi)
	inc	%rdi
	dec	%rcx
	jmp	.Lalign
.Laligned:
	mov	%rcx, %r8
	and	$7, %ecx		/* rcx: bytes behind the last word */
	shr	$3, %r8			/* r8: words to go */
	jz	.Lrest
.Lwrite_w:
	mov	%rax, (%rdi)
	add	$8, %rdi
	dec	%r8
	jnz	.Lwrite_w
.Lrest:
	test	%rcx, %rcx
	jz	.Lall
.Lwrite_b:
	mov	%al, (%rdi)
	inc	%rdi
	dec	%rcx
	jnz	.Lwrite_b
.Lall:
	RET

.Lfix_a:
	RET
.Lfix_w:
	lea	(%rcx,%r8,8), %rcx
	RET
.Lfix_b:
	RET

	_ASM_EXTABLE_UA(.Lwrite_a, .Lfix_a)
	_ASM_EXTABLE_UA(.Lwrite_w, .Lfix_w)
	_ASM_EXTABLE_UA(.Lwrite_b, .Lfix_b)
SYM_FUNC_END(clear_words)
