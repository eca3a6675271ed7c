/* SPDX-License-Identifier: MIT */
/*
 * A copy that sums up what it copies, byte by byte: the byte goes through rbx,
 * which is the caller's.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract checksum_errors */
/* expect: refuted O7 at success */
/* expect: refuted O7 at .Lfix_read */
/* expect: refuted O7 at .Lfix_write */
SYM_FUNC_START(sum_errors)
	mov	%ecx, %eax		/* eax: the sum so far */
	test	%edx, %edx
	jz	.Lall
.Lread:
	movzbl	(%rdi), %ebx
.Lwrite:
	mov	%bl, (%rsi)
	add	%ebx, %eax
	adc	$0, %eax
	inc	%rdi
	inc	%rsi
	dec	%edx
	jnz	.Lread
.Lall:
	RET

.Lfix_read:
	test	%r8, %r8
	jz	.Lall
	movl	$-14, (%r8)
	RET
.Lfix_write:
	test	%r9, %r9
	jz	.Lall
	movl	$-14, (%r9)
	RET

	_ASM_EXTABLE_UA(.Lread, .Lfix_read)
	_ASM_EXTABLE_UA(.Lwrite, .Lfix_write)
SYM_FUNC_END(sum_errors)
