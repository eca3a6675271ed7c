/* Copies of words at whose entries the kernel recovers from a machine check, or does not. */
#include <linux/linkage.h>
#include <asm/asm.h>
/* mcverify: contract bytes_left for safe */
/* mcverify: contract bytes_left for fatal */
/* mcverify: contract uaccess for from_user */
/* mcverify: contract uaccess for not_decoded */
	.text
	.macro words name load type
SYM_FUNC_START(\name)
	mov %rdx, %rax
	test %rax, %rax
	jz .Ldone\@
.Lloop\@:
.Lread\@: \load
.Lwrite\@: mov %cl, (%rdi)
	inc %rsi
	inc %rdi
	dec %rax
	jnz .Lloop\@
.Ldone\@: RET
.Lfix\@: RET
SYM_FUNC_END(\name)
	_ASM_EXTABLE_TYPE(.Lread\@, .Lfix\@, \type)
	_ASM_EXTABLE_UA(.Lwrite\@, .Lfix\@)
	.endm
	words safe "movb (%rsi), %cl" EX_TYPE_DEFAULT_MCE_SAFE
	words fatal "movb (%rsi), %cl" EX_TYPE_DEFAULT
	words from_user "movb (%rsi), %cl" EX_TYPE_UACCESS
	words not_decoded "pinsrb $0, (%rsi), %xmm0; movd %xmm0, %ecx" EX_TYPE_UACCESS
