/* SPDX-License-Identifier: MIT */
/*
 * The low 1, 2, 4 or 8 bytes of rax to user memory: the address in rcx, where the
 * status comes back, which is that of success after a fault, too.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract put_user_1 for put_1 */
/* mcverify: contract put_user_2 for put_2 */
/* mcverify: contract put_user_4 for put_4 */
/* mcverify: contract put_user_8 for put_8 */
/* expect: refuted O9 at .Lfix_any */
SYM_FUNC_START(put_1)
	mov	%rcx, %rbx
	xor	%ecx, %ecx
.Lwrite_1:
	mov	%al, (%rbx)
	RET
	_ASM_EXTABLE_UA(.Lwrite_1, .Lfix_any)
SYM_FUNC_END(put_1)

SYM_FUNC_START(put_2)
	mov	%rcx, %rbx
	xor	%ecx, %ecx
.Lwrite_2:
	mov	%ax, (%rbx)
	RET
	_ASM_EXTABLE_UA(.Lwrite_2, .Lfix_any)
SYM_FUNC_END(put_2)

SYM_FUNC_START(put_4)
	mov	%rcx, %rbx
	xor	%ecx, %ecx
.Lwrite_4:
	mov	%eax, (%rbx)
	RET
	_ASM_EXTABLE_UA(.Lwrite_4, .Lfix_any)
SYM_FUNC_END(put_4)

SYM_FUNC_START(put_8)
	mov	%rcx, %rbx
	xor	%ecx, %ecx
.Lwrite_8:
	mov	%rax, (%rbx)
	RET
	_ASM_EXTABLE_UA(.Lwrite_8, .Lfix_any)
SYM_FUNC_END(put_8)

.Lfix_any:
	xor	%ecx, %ecx
	RET
