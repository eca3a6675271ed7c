/* SPDX-License-Identifier: MIT */
/*
 * User memory on either side: reads and writes may fault, and user access is
 * open only while the routine runs. A word that faults, read or written, is
 * tried again byte by byte. Every way out closes user access.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract uaccess */
/* mcverify: faults both */
/* expect: proved */
SYM_FUNC_START(user_both)
	stac
	mov	%rdx, %rcx
	and	$7, %edx		/* rdx: bytes behind the last word */
	shr	$3, %rcx		/* rcx: words to go */
	jz	.Lrest
.Lread_w:
	mov	(%rsi), %rax
.Lwrite_w:
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
.Lwrite_b:
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rdx
	jnz	.Lread_b
.Lall:
	clac
	xor	%eax, %eax
	RET

.Lfix_w:
	lea	(%rdx,%rcx,8), %rdx
	jmp	.Lread_b
.Lfix_b:
	clac
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE_UA(.Lread_w, .Lfix_w)
	_ASM_EXTABLE_UA(.Lwrite_w, .Lfix_w)
	_ASM_EXTABLE_UA(.Lread_b, .Lfix_b)
	_ASM_EXTABLE_UA(.Lwrite_b, .Lfix_b)
SYM_FUNC_END(user_both)
