/* SPDX-License-Identifier: MIT */
/*
 * A register's eight bytes, in two halves, to user memory: the value in rax, the
 * address in rcx, where the status comes back: 0, or -EFAULT after a fault.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract put_user_8 */
/* expect: proved */
SYM_FUNC_START(put_pair)
	mov	%rcx, %rbx
	xor	%ecx, %ecx
.Lwrite_low:
	mov	%eax, (%rbx)
	ror	$32, %rax
.Lwrite_high:
	mov	%eax, 4(%rbx)
	ror	$32, %rax
	RET

.Lfix_high:
	ror	$32, %rax
	mov	$-14, %ecx
	RET
.Lfix_low:
	mov	$-14, %ecx
	RET

	_ASM_EXTABLE_UA(.Lwrite_low, .Lfix_low)
	_ASM_EXTABLE_UA(.Lwrite_high, .Lfix_high)
SYM_FUNC_END(put_pair)
