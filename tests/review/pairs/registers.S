/* SPDX-License-Identifier: MIT */
/* bytes.S with the count in r8 and the byte in r9b, another test and other labels. */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
SYM_FUNC_START(copy)
	mov	%rdx, %r8
	cmp	$0, %r8
	jz	.Lall
.Lload:
	mov	(%rsi), %r9b
	mov	%r9b, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%r8
	jnz	.Lload
.Lall:
	xor	%eax, %eax
	RET
.Lleft:
	mov	%r8, %rax
	RET
	_ASM_EXTABLE(.Lload, .Lleft)
SYM_FUNC_END(copy)
