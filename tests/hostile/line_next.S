/* SPDX-License-Identifier: MIT */
/*
 * A byte load with an entry is tried first; the load without an entry that follows
 * lies in the next line, which may be bad though the first is good.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O1 at .Lbare */
SYM_FUNC_START(line_next)
	mov	%rdx, %rcx
	cmp	$128, %rdx
	jb	.Lcopy
	test	$127, %sil
	jnz	.Lcopy
.Lprobe:
	mov	(%rsi), %al
.Lbare:
	movups	64(%rsi), %xmm0
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lprobe, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(line_next)
