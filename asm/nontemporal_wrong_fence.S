/* SPDX-License-Identifier: MIT */
/*
 * nontemporal.S without the store fence on the way out after a fault: words that
 * the count calls copied may not have left the write-combining buffers.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract nocache */
/* mcverify: faults both */
/* expect: refuted O10 at .Lfix_b */
SYM_FUNC_START(nontemporal)
	cmp	$8, %rdx
	jb	.Lrest
.Lread_w:
	mov	(%rsi), %rax
.Lwrite_w:
	movnti	%rax, (%rdi)
	add	$8, %rsi
	add	$8, %rdi
	sub	$8, %rdx		/* rdx: bytes to go */
	cmp	$8, %rdx
	jae	.Lread_w
.Lrest:
	test	%rdx, %rdx
	jz	.Lall
.Lread_b:
	mov	(%rsi), %al
.Lwrite_b:
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rdx
	jnz	.Lread_b
.Lall:
	sfence
	xor	%eax, %eax
	RET

.Lfix_w:
	jmp	.Lread_b
.Lfix_b:
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE_UA(.Lread_w, .Lfix_w)
	_ASM_EXTABLE_UA(.Lwrite_w, .Lfix_w)
	_ASM_EXTABLE_UA(.Lread_b, .Lfix_b)
	_ASM_EXTABLE_UA(.Lwrite_b, .Lfix_b)
SYM_FUNC_END(nontemporal)
