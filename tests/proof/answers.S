/* A routine with a loop and a fault, one with an access that has no entry, one that leaves its frame. */
#include <linux/linkage.h>
#include <asm/asm.h>
/* mcverify: contract nocache */
/* mcverify: faults loads */
	.text
SYM_FUNC_START(bytes)
	test %rdx, %rdx
	jz .Ldone
.Lread:	movb (%rsi), %al
	movb %al, (%rdi)
	inc %rsi
	inc %rdi
	dec %rdx
	jnz .Lread
.Ldone:	mov %rdx, %rax
	RET
	_ASM_EXTABLE(.Lread, .Ldone)
SYM_FUNC_END(bytes)

SYM_FUNC_START(uncovered)
	xor %eax, %eax
	test %rdx, %rdx
	jz 1f
	movb (%rsi), %al
1:	RET
SYM_FUNC_END(uncovered)

SYM_FUNC_START(strays)
	mov 8(%rsp), %rax
	RET
SYM_FUNC_END(strays)
