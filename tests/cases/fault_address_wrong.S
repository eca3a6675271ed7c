/* The address of the byte that faulted is returned, but: address_words copies words, whose fault may tell a byte in their
 * middle (O3); address_stale returns what rax held where no fault was taken (O9). Right: both REFUTED. */
	.macro	entry at to
	.pushsection __ex_table, "a"
	.balign	4
	.long	\at - ., \to - ., 3
	.popsection
	.endm
	.text
	.globl	address_words
	.type	address_words, @function
address_words:
	mov	%rdx, %rcx
	shr	$3, %rcx
	and	$7, %edx
.Lq:	rep movsq
	mov	%edx, %ecx
.Lb:	rep movsb
	xor	%eax, %eax
.Lfix:	ret
	.size	address_words, .-address_words
	entry	.Lq .Lfix
	entry	.Lb .Lfix

	.globl	address_stale
	.type	address_stale, @function
address_stale:
	mov	%rdx, %rcx
.Ls:	rep movsb
.Lout:	ret
	.size	address_stale, .-address_stale
	entry	.Ls .Lout
