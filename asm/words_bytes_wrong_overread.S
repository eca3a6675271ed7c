/* SPDX-License-Identifier: MIT */
/*
 * words_bytes.S that fetches the last one to seven bytes with one load of eight,
 * up to seven bytes past the end of the source, where a device or nothing at all
 * may be.
 *
 * Copies of riscv (6010d300f9f7) and ppc64 (f72b728bf100) read too far.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O8 at .Lread_t */
SYM_FUNC_START(words_bytes)
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
	test	%edx, %edx
	jz	.Lall
.Lread_t:
	mov	(%rsi), %rax
	test	$4, %dl
	jz	1f
	mov	%eax, (%rdi)
	shr	$32, %rax
	add	$4, %rdi
1:	test	$2, %dl
	jz	2f
	mov	%ax, (%rdi)
	shr	$16, %rax
	add	$2, %rdi
2:	test	$1, %dl
	jz	.Lall
	mov	%al, (%rdi)
.Lall:
	xor	%eax, %eax
	RET

.Lfix_w:
	lea	(%rdx,%rcx,8), %rax
	RET
.Lfix_t:
	mov	%edx, %eax
	RET

	_ASM_EXTABLE_TYPE(.Lread_w, .Lfix_w, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_t, .Lfix_t, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(words_bytes)
