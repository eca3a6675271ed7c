/* SPDX-License-Identifier: MIT */
/*
 * user_rounded.S without the test of the trap number: the count is that of whole
 * pairs after a page fault too. The first word of the pair may be in place and
 * not in the claim, and where the second word of the first pair is the bad one,
 * nothing is said to be copied at all.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract uaccess_rounded */
/* expect: refuted O4 at .Lfix_pair */
/* expect: refuted O5 at .Lfix_pair */
SYM_FUNC_START(user_rounded)
	mov	%rdx, %rcx
	and	$15, %edx		/* rdx: bytes behind the last pair */
	shr	$4, %rcx		/* rcx: pairs to go */
	jz	.Lrest
.Lread_w0:
	mov	(%rsi), %r8
.Lwrite_w0:
	mov	%r8, (%rdi)
.Lread_w1:
	mov	8(%rsi), %r8
.Lwrite_w1:
	mov	%r8, 8(%rdi)
	add	$16, %rsi
	add	$16, %rdi
	dec	%rcx
	jnz	.Lread_w0
.Lrest:
	test	%rdx, %rdx
	jz	.Lall
.Lread_b:
	mov	(%rsi), %r8b
.Lwrite_b:
	mov	%r8b, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rdx
	jnz	.Lread_b
.Lall:
	xor	%eax, %eax
	RET

.Lfix_pair:
	shl	$4, %rcx
	add	%rcx, %rdx		/* rdx: bytes to go, the whole pair included */
.Lfix_b:
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE_CPY(.Lread_w0, .Lfix_pair)
	_ASM_EXTABLE_CPY(.Lwrite_w0, .Lfix_pair)
	_ASM_EXTABLE_CPY(.Lread_w1, .Lfix_pair)
	_ASM_EXTABLE_CPY(.Lwrite_w1, .Lfix_pair)
	_ASM_EXTABLE_CPY(.Lread_b, .Lfix_b)
	_ASM_EXTABLE_CPY(.Lwrite_b, .Lfix_b)
SYM_FUNC_END(user_rounded)
