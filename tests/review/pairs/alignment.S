/* SPDX-License-Identifier: MIT */
/* bytes.S that returns 1 after success where src is 0x7a5 into a page. */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
SYM_FUNC_START(copy)
	mov	%rdx, %rcx
	test	%rcx, %rcx
	jz	.Lall
.Lread:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rcx
	jnz	.Lread
.Lall:
	sub	%rdx, %rsi
	and	$0xfff, %esi
	xor	%eax, %eax
	cmp	$0x7a5, %esi
	jne	1f
	inc	%eax
1:	RET
.Lfix:
	mov	%rcx, %rax
	RET
	_ASM_EXTABLE(.Lread, .Lfix)
SYM_FUNC_END(copy)
