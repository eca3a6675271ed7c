/* Own wording. Twins of bool_al.S: one tells success the wrong way round, one tells 2 for true, which is no C bool. Right: REFUTED O9, whether the contract says al or rax. */
#include <linux/linkage.h>
#include <asm/asm.h>

	.text
SYM_FUNC_START(bool_inverted)
	mov	%rdi, %rax
	mov	%rdx, %rcx
.Linverted:
	rep movsb
.Linverted_out:
	test	%rcx, %rcx
	setne	%al
	RET
	_ASM_EXTABLE_UA(.Linverted, .Linverted_out)
SYM_FUNC_END(bool_inverted)

SYM_FUNC_START(bool_two)
	mov	%rdi, %rax
	mov	%rdx, %rcx
.Ltwo:
	rep movsb
.Ltwo_out:
	test	%rcx, %rcx
	sete	%al
	add	%al, %al
	RET
	_ASM_EXTABLE_UA(.Ltwo, .Ltwo_out)
SYM_FUNC_END(bool_two)
