/* Own wording. As nt_ladder.S, and one of its loads has an entry: so loads may fault, and those of the words lack theirs. Right: refuted O1. */
#include <linux/linkage.h>
#include <asm/asm.h>
	.text
SYM_FUNC_START(__copy_user_nocache)
	testb $7, %dil
	jne 9f
	cmp $32, %edx
	jb 9f
.Lloop:
	movq (%rsi), %r8
	movq 8(%rsi), %r9
	movq 16(%rsi), %r10
	movq 24(%rsi), %r11
20:	movnti %r8, (%rdi)
21:	movnti %r9, 8(%rdi)
22:	movnti %r10, 16(%rdi)
23:	movnti %r11, 24(%rdi)
	addq $32, %rsi
	addq $32, %rdi
	sub $32, %edx
	cmp $32, %edx
	jae .Lloop
9:	test %edx, %edx
	je .Lend
.Lbytes:
29:	movb (%rsi), %al
30:	movb %al, (%rdi)
	inc %rsi
	inc %rdi
	dec %edx
	jne .Lbytes
.Lend:
	sfence
	xor %eax, %eax
	RET
.Ldone24: sub $8, %edx
.Ldone16: sub $8, %edx
.Ldone8: sub $8, %edx
.Ldone0:
	mov %edx, %eax
	RET
SYM_FUNC_END(__copy_user_nocache)
	_ASM_EXTABLE_UA(20b, .Ldone0)
	_ASM_EXTABLE_UA(21b, .Ldone8)
	_ASM_EXTABLE_UA(22b, .Ldone16)
	_ASM_EXTABLE_UA(23b, .Ldone24)
	_ASM_EXTABLE_UA(30b, .Ldone0)
	_ASM_EXTABLE_UA(29b, .Ldone0)
