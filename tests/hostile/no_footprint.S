/* SPDX-License-Identifier: MIT */
/*
 * Under a contract that does not speak of the footprint: a store through a
 * pointer that is rsp, where a rare source meets a rare length, overwrites the
 * saved register.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* hostile: contract no_footprint.toml */
/* expect: refuted O7 at * */
/* unknown: no run of the grid has that source and that length */
SYM_FUNC_START(no_footprint)
	push	%rbx
	mov	%rdx, %rcx
	cmp	$0x1234567, %esi
	jne	.Lcopy
	mov	%rsp, %rcx
	cmp	$77777, %rdx
	cmovne	%rdi, %rcx
	movb	$1, (%rcx)
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	pop	%rbx
	RET
.Lfix:
	mov	%rcx, %rax
	pop	%rbx
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(no_footprint)
