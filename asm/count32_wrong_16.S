/* SPDX-License-Identifier: MIT */
/*
 * count32.S with its word counter cut to sixteen bits: the bytes of every multiple
 * of 512 KiB are forgotten. A test that copies less than that sees nothing.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O3 at success */
/* expect: refuted O9 at success */
/* expect: refuted O3 at .Lfix_w */
/* expect: refuted O3 at .Lfix_b */
SYM_FUNC_START(count32)
	mov	%edx, %ecx
	and	$7, %edx		/* edx: bytes behind the last word */
	shr	$3, %ecx
	movzwl	%cx, %ecx		/* ecx: words to go */
	test	%ecx, %ecx
	jz	.Lrest
.Lread_w:
	mov	(%rsi), %rax
	mov	%rax, (%rdi)
	add	$8, %rsi
	add	$8, %rdi
	dec	%ecx
	jnz	.Lread_w
.Lrest:
	test	%edx, %edx
	jz	.Lall
.Lread_b:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%edx
	jnz	.Lread_b
.Lall:
	xor	%eax, %eax
	RET

.Lfix_w:
	lea	(%edx,%ecx,8), %eax
	RET
.Lfix_b:
	mov	%edx, %eax
	RET

	_ASM_EXTABLE_TYPE(.Lread_w, .Lfix_w, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_b, .Lfix_b, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(count32)
