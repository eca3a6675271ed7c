/* SPDX-License-Identifier: MIT */
/*
 * clear_early.S whose fixup takes words for half of what they are.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract clear_words */
/* mcverify: faults stores */
/* expect: refuted O3 at .Lfix_w */
SYM_FUNC_START(clear_early)
	mov	%rcx, %r9
	and	$7, %ecx		/* rcx: bytes behind the last word */
	shr	$3, %r9			/* r9: words to go */
	jz	.Lrest
.Lwrite_w:
	mov	%rax, (%rdi)
	add	$8, %rdi
	dec	%r9
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

.Lfix_w:
	lea	(%rcx,%r9,4), %rcx
	RET
.Lfix_b:
	RET

	_ASM_EXTABLE_UA(.Lwrite_w, .Lfix_w)
	_ASM_EXTABLE_UA(.Lwrite_b, .Lfix_b)
SYM_FUNC_END(clear_early)
