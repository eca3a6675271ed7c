/* SPDX-License-Identifier: MIT */
/*
 * user_both.S without the retry: a word that faults is counted as missing, though
 * up to seven of its bytes could have been copied. If it is the first word, the
 * caller hears that nothing could be copied, and may ask again for ever.
 *
 * arm64 did so until 295cf156231c.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract uaccess */
/* mcverify: faults both */
/* expect: refuted O5 at .Lfix_w */
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
	clac
	lea	(%rdx,%rcx,8), %rax
	RET
.Lfix_b:
	clac
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE_UA(.Lread_w, .Lfix_w)
	_ASM_EXTABLE_UA(.Lwrite_w, .Lfix_w)
	_ASM_EXTABLE_UA(.Lread_b, .Lfix_b)
	_ASM_EXTABLE_UA(.Lwrite_b, .Lfix_b)
SYM_FUNC_END(user_both)
