/* SPDX-License-Identifier: MIT */
/*
 * After a fault a routine in C is called, not jumped to, and the count is then
 * taken from rdx, which the ABI lets it change.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O2 at copy_mc_fragile_handle_tail */
SYM_FUNC_START(tail_kept)
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

.Lfix_b:
	call	copy_mc_fragile_handle_tail
	mov	%rdx, %rax
	RET

	_ASM_EXTABLE(.Lread_b, .Lfix_b)
SYM_FUNC_END(tail_kept)
