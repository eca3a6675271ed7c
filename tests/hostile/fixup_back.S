/* SPDX-License-Identifier: MIT */
/*
 * The fixup goes on behind the load, with whatever is in al.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O4 at .Lstore */
/* expect: refuted O6 at .Lstore */
SYM_FUNC_START(fixup_back)
	mov	%rdx, %rcx
	test	%rcx, %rcx
	jz	.Lout
.Lread:
	mov	(%rsi), %al
.Lstore:
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rcx
	jnz	.Lread
.Lout:
	xor	%eax, %eax
	RET

	_ASM_EXTABLE_TYPE(.Lread, .Lstore, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(fixup_back)
