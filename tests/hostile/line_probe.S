/* SPDX-License-Identifier: MIT */
/*
 * A byte load with an entry is tried first; the load without an entry that
 * follows it lies in the same line, which is bad as a whole or not at all.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: proved */
/* hostile: fault-model persistent */
SYM_FUNC_START(line_probe)
	mov	%rdx, %rcx
	test	$7, %sil
	jnz	.Lcopy
	cmp	$8, %rdx
	jb	.Lcopy
.Lprobe:
	mov	(%rsi), %al
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
SYM_FUNC_END(line_probe)
