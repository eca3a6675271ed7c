/* What is done is returned, and where that is not all the carry flag is set. Right: done_right is proved; done_left returns
 * what is left (O3, O9). */
	.macro	entry at to
	.pushsection __ex_table, "a"
	.balign	4
	.long	\at - ., \to - ., 3
	.popsection
	.endm
	.text
	.globl	done_right
	.type	done_right, @function
done_right:
	mov	%rdx, %rcx
.Lr:	rep movsb
.Lrf:	mov	%rdx, %rax
	sub	%rcx, %rax
	ret
	.size	done_right, .-done_right
	entry	.Lr .Lrf

	.globl	done_left
	.type	done_left, @function
done_left:
	mov	%rdx, %rcx
.Ll:	rep movsb
.Llf:	mov	%rcx, %rax
	ret
	.size	done_left, .-done_left
	entry	.Ll .Llf
