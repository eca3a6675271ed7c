/* SPDX-License-Identifier: MIT */
/*
 * Each non-temporal store is fenced at once, save where a square is 2 modulo 8,
 * which no square is. A store that faulted has stored nothing and needs no
 * fence.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract nocache */
/* expect: proved */
/* unknown: that no square is 2 modulo 8 is no shape of invariant that is guessed */
SYM_FUNC_START(nt_fault)
	mov	%rdx, %rax
	test	%rax, %rax
	jz	.Lout
	cmp	$8, %rax
	jb	.Lbytes
.Lload:
	mov	(%rsi), %r8
.Lstore:
	movnti	%r8, (%rdi)
	mov	%rax, %r10
	imul	%r10, %r10
	and	$7, %r10d
	cmp	$2, %r10d
	je	.Lnever
	sfence
.Lnever:
	add	$8, %rsi
	add	$8, %rdi
	sub	$8, %rax
	cmp	$8, %rax
	jae	.Lload
	test	%rax, %rax
	jz	.Lout
.Lbytes:
	mov	(%rsi), %r8b
.Lstoreb:
	mov	%r8b, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rax
	jnz	.Lbytes
.Lout:
	RET
.Lfix:
	RET

	_ASM_EXTABLE_TYPE(.Lload, .Lbytes, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lstore, .Lbytes, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lbytes, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lstoreb, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(nt_fault)
