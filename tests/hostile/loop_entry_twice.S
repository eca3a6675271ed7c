/* SPDX-License-Identifier: MIT */
/*
 * Jumps back to its first instruction with less to do: the second round's
 * arguments are not those of the caller, and the count of a fault there is out
 * by a byte.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O2 at .Lfix */
/* expect: refuted O4 at .Lfix */
SYM_FUNC_START(loop_entry_twice)
	test	%rdx, %rdx
	jz	.Lout
.Lread:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rdx
	jmp	loop_entry_twice
.Lout:
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rdx, %rax
	cmp	$1, %rdx
	jne	.Lsame
	mov	$2, %eax
.Lsame:
	RET

	_ASM_EXTABLE_TYPE(.Lread, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(loop_entry_twice)
