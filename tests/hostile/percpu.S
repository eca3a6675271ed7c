/* SPDX-License-Identifier: MIT */
/*
 * The address limit of the running task, as kernels before 5.10 ask it. One
 * routine lets what lies above it pass, one takes the limit for the value, one
 * changes it.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract get_user_1 */
/* unknown: what gs leads to is not there in a run, so that none refutes the wrong ones */
/* expect: percpu: proved */
SYM_FUNC_START(percpu)
	movq	%gs:current_task, %rdx
	cmpq	0x18(%rdx), %rax
	jae	.Lpercpu_bad
.Lpercpu_load:
	movzbl	(%rax), %edx
	xor	%eax, %eax
	RET
.Lpercpu_bad:
	xor	%edx, %edx
	mov	$-14, %rax
	RET
	_ASM_EXTABLE_UA(.Lpercpu_load, .Lpercpu_bad)
SYM_FUNC_END(percpu)

/* expect: percpu_above: refuted O9 at success */
SYM_FUNC_START(percpu_above)
	movq	%gs:current_task, %rdx
	cmpq	0x18(%rdx), %rax
	jb	.Lpercpu_above_bad
.Lpercpu_above_load:
	movzbl	(%rax), %edx
	xor	%eax, %eax
	RET
.Lpercpu_above_bad:
	xor	%edx, %edx
	mov	$-14, %rax
	RET
	_ASM_EXTABLE_UA(.Lpercpu_above_load, .Lpercpu_above_bad)
SYM_FUNC_END(percpu_above)

/* expect: percpu_value: refuted O6 at success */
/* expect: percpu_value: refuted O7 at success */
/* expect: percpu_value: refuted O7 at .Lpercpu_value_bad */
SYM_FUNC_START(percpu_value)
	movq	%gs:current_task, %rdx
	mov	0x20(%rdx), %r8
	cmpq	0x18(%rdx), %rax
	jae	.Lpercpu_value_bad
.Lpercpu_value_load:
	movzbl	(%rax), %edx
	mov	%r8d, %edx
	xor	%eax, %eax
	RET
.Lpercpu_value_bad:
	xor	%edx, %edx
	mov	$-14, %rax
	RET
	_ASM_EXTABLE_UA(.Lpercpu_value_load, .Lpercpu_value_bad)
SYM_FUNC_END(percpu_value)

/* expect: percpu_stores: refuted O8 at percpu_stores */
SYM_FUNC_START(percpu_stores)
	movq	%gs:current_task, %rdx
	movq	$-1, 0x18(%rdx)
	cmpq	0x18(%rdx), %rax
	jae	.Lpercpu_stores_bad
.Lpercpu_stores_load:
	movzbl	(%rax), %edx
	xor	%eax, %eax
	RET
.Lpercpu_stores_bad:
	xor	%edx, %edx
	mov	$-14, %rax
	RET
	_ASM_EXTABLE_UA(.Lpercpu_stores_load, .Lpercpu_stores_bad)
SYM_FUNC_END(percpu_stores)
