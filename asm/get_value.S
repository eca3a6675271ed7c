/* SPDX-License-Identifier: MIT */
/*
 * 1, 2, 4 or 8 bytes of user memory into a register: the address in rax, the value in
 * rdx, zero-extended. After a fault the value is 0 and rax -EFAULT.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract get_user_1 for get_1 */
/* mcverify: contract get_user_2 for get_2 */
/* mcverify: contract get_user_4 for get_4 */
/* mcverify: contract get_user_8 for get_8 */
/* expect: proved */
SYM_FUNC_START(get_1)
.Lread_1:
	movzbl	(%rax), %edx
	xor	%eax, %eax
	RET
	_ASM_EXTABLE_UA(.Lread_1, .Lfix_any)
SYM_FUNC_END(get_1)

SYM_FUNC_START(get_2)
.Lread_2:
	movzwl	(%rax), %edx
	xor	%eax, %eax
	RET
	_ASM_EXTABLE_UA(.Lread_2, .Lfix_any)
SYM_FUNC_END(get_2)

SYM_FUNC_START(get_4)
.Lread_4:
	mov	(%rax), %edx
	xor	%eax, %eax
	RET
	_ASM_EXTABLE_UA(.Lread_4, .Lfix_any)
SYM_FUNC_END(get_4)

SYM_FUNC_START(get_8)
.Lread_8:
	mov	(%rax), %rdx
	xor	%eax, %eax
	RET
	_ASM_EXTABLE_UA(.Lread_8, .Lfix_any)
SYM_FUNC_END(get_8)

.Lfix_any:
	xor	%edx, %edx
	mov	$-14, %rax
	RET
