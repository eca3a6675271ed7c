/* SPDX-License-Identifier: MIT */
/*
 * As line_probe.S with 16 bytes, whose alignment keeps them in one line.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: proved */
/* hostile: fault-model persistent */
SYM_FUNC_START(line_probe_16)
	mov	%rdx, %rcx
	cmp	$16, %rdx
	jb	.Lcopy
	test	$15, %sil
	jnz	.Lcopy
.Lprobe:
	mov	(%rsi), %al
	movups	(%rsi), %xmm0
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
	_ASM_EXTABLE_TYPE(.Lprobe, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(line_probe_16)
