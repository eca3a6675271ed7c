/* own small: the checksumming copy as before 5.10, which tells a fault through pointers (r8, r9) */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/errno.h>
	.text
ENTRY(csum_partial_copy_generic)
	movl %ecx, %eax
	testl %edx, %edx
	jz 3f
1:	movzbl (%rdi), %r10d
2:	movb %r10b, (%rsi)
	addl %r10d, %eax
	adcl $0, %eax
	incq %rdi
	incq %rsi
	decl %edx
	jnz 1b
3:	ret
4:	testq %r8, %r8
	jz 3b
	movl $-EFAULT, (%r8)
	ret
5:	testq %r9, %r9
	jz 3b
	movl $-EFAULT, (%r9)
	ret
	_ASM_EXTABLE(1b, 4b)
	_ASM_EXTABLE(2b, 5b)
ENDPROC(csum_partial_copy_generic)
