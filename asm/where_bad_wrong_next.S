/* SPDX-License-Identifier: MIT */
/*
 * Bytes, one after the other. After a fault of the load the address of the next
 * byte is returned, as if that were the first one that was not copied.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract fault_address */
/* expect: refuted O2 at .Lfix_load */
/* expect: refuted O3 at .Lfix_load */
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

.Lfix_load:
	inc	%rax
.Lfix_store:
	RET

	_ASM_EXTABLE_UA(.Lload, .Lfix_load)
	_ASM_EXTABLE_UA(.Lstore, .Lfix_store)
SYM_FUNC_END(where_bad)
