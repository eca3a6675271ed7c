/* Names which the kernel uses where one source serves 32 and 64 bits: always 64 here. */
#ifndef MCVERIFY_REGISTERS_H
#define MCVERIFY_REGISTERS_H

#define __ASM_SEL(narrow, wide)	wide
#define __ASM_SEL_RAW(narrow, wide)	wide
#define __ASM_SIZE(op, ...)	op##q##__VA_ARGS__
#define __ASM_REG(name)		r##name

#define _ASM_PTR	.quad
#define _ASM_ALIGN	.balign 8
#define _ASM_MOV	movq
#define _ASM_INC	incq
#define _ASM_DEC	decq
#define _ASM_ADD	addq
#define _ASM_SUB	subq
#define _ASM_XADD	xaddq
#define _ASM_MUL	mulq

#define _ASM_AX		rax
#define _ASM_BX		rbx
#define _ASM_CX		rcx
#define _ASM_DX		rdx
#define _ASM_SP		rsp
#define _ASM_BP		rbp
#define _ASM_SI		rsi
#define _ASM_DI		rdi

#define _ASM_ARG1	rdi
#define _ASM_ARG2	rsi
#define _ASM_ARG3	rdx
#define _ASM_ARG4	rcx
#define _ASM_ARG5	r8
#define _ASM_ARG6	r9

#define _ASM_RIP(symbol)	symbol(%rip)
#define __percpu_seg		gs
#define PER_CPU_VAR(name)	%gs:name

#endif
