/* SPDX-License-Identifier: MIT */
/*
 * The routine in C copies each byte with another routine of this file, which never
 * copies any: nothing is copied after a fault, though the first bytes could be.
 */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/smap.h>

/* mcverify: contract uaccess for copy */
/* mcverify: contract bytes_left for copy_mc_fragile */
/* expect: copy: refuted O5 at copy_mc_fragile_handle_tail */
/* expect: copy_mc_fragile: refuted O9 at success */
SYM_FUNC_START(copy)
	mov	%rdx, %rcx
	shr	$3, %rcx
	and	$7, %edx
	test	%rcx, %rcx
	jz	.Lrest
.Lread:
	mov	(%rsi), %rax
.Lwrite:
	mov	%rax, (%rdi)
	add	$8, %rsi
	add	$8, %rdi
	dec	%rcx
	jnz	.Lread
.Lrest:
	test	%edx, %edx
	jz	.Lall
.Lread_b:
	mov	(%rsi), %al
.Lwrite_b:
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%edx
	jnz	.Lread_b
.Lall:
	xor	%eax, %eax
	RET
.Lfix:
	lea	(%rdx,%rcx,8), %rdx
	jmp	copy_mc_fragile_handle_tail
.Lfix_b:
	mov	%edx, %eax
	RET
	_ASM_EXTABLE(.Lread, .Lfix)
	_ASM_EXTABLE(.Lwrite, .Lfix)
	_ASM_EXTABLE(.Lread_b, .Lfix_b)
	_ASM_EXTABLE(.Lwrite_b, .Lfix_b)
SYM_FUNC_END(copy)

SYM_FUNC_START(copy_mc_fragile)
	mov	%rdx, %rax
	RET
SYM_FUNC_END(copy_mc_fragile)
