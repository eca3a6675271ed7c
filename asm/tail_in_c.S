/* SPDX-License-Identifier: MIT */
/*
 * Words, then bytes. A word that faults is left to a routine in C, which tries
 * the rest byte by byte and returns how many bytes it could not copy: the fixup
 * hands it the pointers and the count.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: proved */
SYM_FUNC_START(tail_in_c)
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

.Lfix_w:
	lea	(%rdx,%rcx,8), %rdx
	jmp	copy_mc_fragile_handle_tail
.Lfix_b:
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE(.Lread_w, .Lfix_w)
	_ASM_EXTABLE(.Lread_b, .Lfix_b)
SYM_FUNC_END(tail_in_c)
