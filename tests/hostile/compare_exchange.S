/* SPDX-License-Identifier: MIT */
/*
 * Stores with cmpxchg, which reads the destination and stores only if that holds
 * what it expects; it writes back what it read if not.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O3 at success */
/* expect: refuted O3 at .Lfix */
/* expect: refuted O6 at success */
/* expect: refuted O6 at .Lfix */
/* expect: refuted O8 at * */
/* expect: refuted O9 at success */
SYM_FUNC_START(compare_exchange)
	mov	%rdx, %rcx
	test	%rcx, %rcx
	jz	.Lout
.Lread:
	mov	(%rsi), %al
	mov	%al, %r8b
	mov	$0, %al
	cmpxchg	%r8b, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rcx
	jnz	.Lread
.Lout:
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(compare_exchange)
