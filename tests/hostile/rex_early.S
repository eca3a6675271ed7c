/* SPDX-License-Identifier: MIT */
/*
 * A REX prefix before another prefix, which a CPU ignores: `rep movsl` that reads as
 * `rep movsq`, so that half of the words are copied.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O3 at .Lfix_q */
/* expect: refuted O3 at .Lfix_b */
/* expect: refuted O3 at success */
/* expect: refuted O4 at .Lfix_q */
/* expect: refuted O6 at success */
/* expect: refuted O6 at .Lfix_b */
/* expect: refuted O9 at success */
SYM_FUNC_START(rex_early)
	mov	%rdx, %rcx
	and	$7, %edx
	shr	$3, %rcx
.Lread_q:
	.byte	0x48, 0xf3, 0xa5
	mov	%edx, %ecx
.Lread_b:
	rep movsb
	xor	%eax, %eax
	RET
.Lfix_q:
	lea	(%rdx,%rcx,8), %rax
	RET
.Lfix_b:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread_q, .Lfix_q, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_b, .Lfix_b, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(rex_early)
