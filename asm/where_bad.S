/* SPDX-License-Identifier: MIT */
/*
 * Bytes, one after the other. The handler leaves the address of the byte that
 * faulted in rax, and that is what is returned: the caller makes a count of it.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract fault_address */
/* expect: proved */
SYM_FUNC_START(where_bad)
	mov	%rdx, %rcx
	test	%rcx, %rcx
	jz	.Ldone
.Lload:
	movzbl	(%rsi), %edx
.Lstore:
	mov	%dl, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rcx
	jnz	.Lload
.Ldone:
	xor	%eax, %eax
	RET

.Lfix_any:
	RET

	_ASM_EXTABLE_UA(.Lload, .Lfix_any)
	_ASM_EXTABLE_UA(.Lstore, .Lfix_any)
SYM_FUNC_END(where_bad)
