/* SPDX-License-Identifier: MIT */
/*
 * A register that is to come back is put aside in another one over a loop. One
 * routine puts aside what it has changed already, one uses the place for
 * something else in one of its loops.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract uaccess_rcx */
/* expect: put_aside: proved */
SYM_FUNC_START(put_aside)
	mov	%rdx, %r9
	jrcxz	.Lright_out
.Lright_load:
	mov	(%rsi), %dl
.Lright_store:
	mov	%dl, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rcx
	jnz	.Lright_load
.Lright_out:
	mov	%r9, %rdx
	RET
	_ASM_EXTABLE_UA(.Lright_load, .Lright_out)
	_ASM_EXTABLE_UA(.Lright_store, .Lright_out)
SYM_FUNC_END(put_aside)

/* expect: put_aside_late: refuted O7 at success */
/* expect: put_aside_late: refuted O7 at .Llate_out */
SYM_FUNC_START(put_aside_late)
	xor	%edx, %edx
	mov	%rdx, %r9
	jrcxz	.Llate_out
.Llate_load:
	mov	(%rsi), %dl
.Llate_store:
	mov	%dl, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rcx
	jnz	.Llate_load
.Llate_out:
	mov	%r9, %rdx
	RET
	_ASM_EXTABLE_UA(.Llate_load, .Llate_out)
	_ASM_EXTABLE_UA(.Llate_store, .Llate_out)
SYM_FUNC_END(put_aside_late)

/* expect: put_aside_used: refuted O7 at success */
/* expect: put_aside_used: refuted O7 at .Lused_out */
SYM_FUNC_START(put_aside_used)
	mov	%rdx, %r9
	jrcxz	.Lused_out
.Lused_load:
	mov	(%rsi), %dl
.Lused_store:
	mov	%dl, (%rdi)
	inc	%rsi
	inc	%rdi
	cmp	$33, %rcx
	jne	.Lused_next
	mov	%rcx, %r9
.Lused_next:
	dec	%rcx
	jnz	.Lused_load
.Lused_out:
	mov	%r9, %rdx
	RET
	_ASM_EXTABLE_UA(.Lused_load, .Lused_out)
	_ASM_EXTABLE_UA(.Lused_store, .Lused_out)
SYM_FUNC_END(put_aside_used)
