/* SPDX-License-Identifier: MIT */
/*
 * Two bytes of user memory into a register: the address in rax, the value in rdx.
 * They are loaded one by one, the first one without clearing what rdx held above it.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract get_user_2 */
/* expect: refuted O6 at success */
SYM_FUNC_START(get_half)
.Lread_b0:
	mov	(%rax), %dl
.Lread_b1:
	mov	1(%rax), %dh
	xor	%eax, %eax
	RET

.Lfix_b:
	xor	%edx, %edx
	mov	$-14, %eax		/* as an int */
	RET

	_ASM_EXTABLE_UA(.Lread_b0, .Lfix_b)
	_ASM_EXTABLE_UA(.Lread_b1, .Lfix_b)
SYM_FUNC_END(get_half)
