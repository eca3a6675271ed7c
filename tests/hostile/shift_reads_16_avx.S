/* SPDX-License-Identifier: MIT */
/*
 * Reads the first 8 bytes of the source with an AVX shift, whose operand has 16:
 * the last 8 may lie behind the source, and no address is too odd for it.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O8 at * */
SYM_FUNC_START(shift_reads_16_avx)
	mov	%rdx, %rcx
	cmp	$8, %rdx
	jb	.Lbytes
.Lshift:
	vpsrlq	(%rsi), %xmm0, %xmm0
.Lbytes:
.Lread:
	rep movsb
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lshift, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(shift_reads_16_avx)
