/* SPDX-License-Identifier: MIT */
/*
 * As line_probe.S without the test of the alignment: a word that begins in a
 * good line may end in a bad one.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O1 at .Lbare */
SYM_FUNC_START(line_probe_unaligned)
	mov	%rdx, %rcx
	cmp	$8, %rdx
	jb	.Lcopy
.Lprobe:
	mov	(%rsi), %al
.Lbare:
	mov	(%rsi), %rax
	mov	%rax, (%rdi)
	add	$8, %rsi
	add	$8, %rdi
	sub	$8, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lprobe, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(line_probe_unaligned)
