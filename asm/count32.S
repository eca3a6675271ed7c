/* SPDX-License-Identifier: MIT */
/*
 * words_bytes.S with its counters in 32 bits. Right for every length that a
 * caller of write(2) can ask for, and for every length below 4 GiB: its domain
 * is [0, 0xffffffff]. From 0x100000000 on the upper half of the length is
 * dropped: nothing at all is copied of 4 GiB, and success is returned.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: proved */
SYM_FUNC_START(count32)
	mov	%edx, %ecx
	and	$7, %edx		/* edx: bytes behind the last word */
	shr	$3, %ecx		/* ecx: words to go */
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
