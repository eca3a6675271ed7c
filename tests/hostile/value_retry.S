/* SPDX-License-Identifier: MIT */
/*
 * Three tries for a value of a fixed size, with a counter that is saved. One
 * never gives up, one leaves what was in the register, one has forgotten the
 * counter that it saved, one tries the next word.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract get_user_4 */
/* expect: value_retry: proved */
SYM_FUNC_START(value_retry)
	push	%rcx
	mov	$3, %ecx
.Lright:
	mov	(%rax), %edx
	xor	%eax, %eax
.Lright_out:
	pop	%rcx
	RET
.Lright_fix:
	dec	%ecx
	jnz	.Lright
	xor	%edx, %edx
	mov	$-14, %eax
	jmp	.Lright_out
	_ASM_EXTABLE_UA(.Lright, .Lright_fix)
SYM_FUNC_END(value_retry)

/* expect: value_retry_endless: refuted O9 at * */
SYM_FUNC_START(value_retry_endless)
	push	%rcx
	mov	$3, %ecx
.Lendless:
	mov	(%rax), %edx
	xor	%eax, %eax
.Lendless_out:
	pop	%rcx
	RET
.Lendless_fix:
	dec	%ecx
	jnz	.Lendless
	mov	$3, %ecx
	jmp	.Lendless
	_ASM_EXTABLE_UA(.Lendless, .Lendless_fix)
SYM_FUNC_END(value_retry_endless)

/* expect: value_retry_stale: refuted O6 at .Lstale_fix */
SYM_FUNC_START(value_retry_stale)
	push	%rcx
	mov	$3, %ecx
.Lstale:
	mov	(%rax), %edx
	xor	%eax, %eax
.Lstale_out:
	pop	%rcx
	RET
.Lstale_fix:
	dec	%ecx
	jnz	.Lstale
	mov	$-14, %eax
	jmp	.Lstale_out
	_ASM_EXTABLE_UA(.Lstale, .Lstale_fix)
SYM_FUNC_END(value_retry_stale)

/* expect: value_retry_lost: refuted O7 at success */
/* expect: value_retry_lost: refuted O7 at .Llost_fix */
SYM_FUNC_START(value_retry_lost)
	mov	$3, %ecx
.Llost:
	mov	(%rax), %edx
	xor	%eax, %eax
	RET
.Llost_fix:
	dec	%ecx
	jnz	.Llost
	xor	%edx, %edx
	mov	$-14, %eax
	RET
	_ASM_EXTABLE_UA(.Llost, .Llost_fix)
SYM_FUNC_END(value_retry_lost)

/* expect: value_retry_next: refuted O8 at .Lnext */
/* expect: value_retry_next: refuted O6 at .Lnext_fix */
/* expect: value_retry_next: refuted O9 at .Lnext_fix */
SYM_FUNC_START(value_retry_next)
	push	%rcx
	mov	$3, %ecx
.Lnext:
	mov	(%rax), %edx
	xor	%eax, %eax
.Lnext_out:
	pop	%rcx
	RET
.Lnext_fix:
	add	$4, %rax
	dec	%ecx
	jnz	.Lnext
	xor	%edx, %edx
	mov	$-14, %eax
	jmp	.Lnext_out
	_ASM_EXTABLE_UA(.Lnext, .Lnext_fix)
SYM_FUNC_END(value_retry_next)
