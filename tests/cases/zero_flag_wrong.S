/* own small: as zero_flag.S, and words count as bytes (O3) */
#include <linux/linkage.h>
	.text
ENTRY(copy_user_generic_string)
	movl %ecx, %r8d			/* the zero flag */
	movl %edx, %ecx
	shrl $3, %ecx
	andl $7, %edx
1:	rep movsq
	movl %edx, %ecx
2:	rep movsb
	movl %ecx, %eax
	ret
3:	leaq (%rdx,%rcx), %rcx
4:	movl %ecx, %edx
	testl %r8d, %r8d
	jz 6f
	xorl %eax, %eax
5:	rep stosb
6:	movl %edx, %eax
	ret
	.section __ex_table, "a"
	.quad 1b,3b
	.quad 2b,4b
	.quad 5b,6b
	.previous
ENDPROC(copy_user_generic_string)
