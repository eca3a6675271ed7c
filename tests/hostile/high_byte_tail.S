/* SPDX-License-Identifier: MIT */
/*
 * The count of the last bytes lives in ah while al holds the data: they are at
 * most 7.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: proved */
/* unknown: that the bits of ah stay apart from those of al is no shape of invariant that is guessed */
SYM_FUNC_START(high_byte_tail)
	mov	%rdx, %rcx
	shr	$3, %rcx
	and	$7, %edx
.Lcopy:
	rep	movsq
	mov	%dl, %ah
	test	%ah, %ah
	jz	.Lout
.Lread:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%ah
	jnz	.Lread
.Lout:
	xor	%eax, %eax
	RET
.Lfix:
	movzbl	%ah, %eax
	RET
.Lfixq:
	lea	(%rdx,%rcx,8), %rax
	RET

	_ASM_EXTABLE_TYPE(.Lread, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lcopy, .Lfixq, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(high_byte_tail)
