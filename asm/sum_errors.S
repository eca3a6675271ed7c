/* SPDX-License-Identifier: MIT */
/*
 * A copy that sums up what it copies, byte by byte, and tells a fault through a
 * pointer for each side, where there is one.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract checksum_errors */
/* expect: proved */
SYM_FUNC_START(sum_errors)
	mov	%ecx, %eax		/* eax: the sum so far */
	test	%edx, %edx
	jz	.Lall
.Lread:
	movzbl	(%rdi), %r10d
.Lwrite:
	mov	%r10b, (%rsi)
	add	%r10d, %eax
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
