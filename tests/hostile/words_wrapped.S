/* SPDX-License-Identifier: MIT */
/*
 * Its count of words has bit 61 set: the bytes are those of the others, modulo 2^64.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O8 at * */
/* expect: refuted O2 at .Lfix_w */
SYM_FUNC_START(words_wrapped)
	mov	%rdx, %rcx
	shr	$3, %rcx
	mov	$1, %r9d
	shl	$61, %r9
	or	%r9, %rcx
.Lread_w:
	rep	movsq
	mov	%edx, %ecx
	and	$7, %ecx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfix_w:
	shl	$3, %rcx
	and	$7, %edx
	add	%rdx, %rcx
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.Lread_w, .Lfix_w, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(words_wrapped)
