/* SPDX-License-Identifier: MIT */
/*
 * An SSE operand in memory whose address is no multiple of 16 raises #GP, for
 * which no fixup is made.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O1 at .Lread */
/* unknown: no run of the grid is that long */
SYM_FUNC_START(misaligned_operand)
	mov	%rdx, %rcx
	cmp	$1000000, %rdx
	jb	.Lcopy
	pxor	%xmm0, %xmm0
.Lread:
	por	(%rsi), %xmm0
	movups	%xmm0, (%rdi)
	add	$16, %rsi
	add	$16, %rdi
	sub	$16, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(misaligned_operand)
