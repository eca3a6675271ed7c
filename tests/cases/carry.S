/* The carry flag tells of a fault, rax of its address. Right: carry_right is proved; carry_clear leaves the flag clear (O3, O9);
 * carry_both sets it on success, too (O9). */
	.macro	entry at to
	.pushsection __ex_table, "a"
	.balign	4
	.long	\at - ., \to - ., 3
	.popsection
	.endm
	.macro	copy name good bad
	.globl	\name
	.type	\name, @function
\name:	mov	%rdx, %rcx
.Lb_\name:
	rep movsb
	\good
	ret
.Lf_\name:
	\bad
	ret
	.size	\name, .-\name
	entry	.Lb_\name .Lf_\name
	.endm
	.text
	copy	carry_right clc stc
	copy	carry_clear clc clc
	copy	carry_both stc stc
