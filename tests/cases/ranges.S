/* Ranges of code with one fixup each, a word of flags behind them (Managarm's user access regions), in .uar.
 * Right: in_range proved, in_range_wrong refuted O1: its range ends before the last store. */
	.macro	bytes name first last
	.globl	\name
	.type	\name, @function
\name:
	xor	%eax, %eax
	test	%rdx, %rdx
	je	.Lout_\name
.Lload_\name:
	mov	(%rsi), %cl
.Lstore_\name:
	mov	%cl, (%rdi)
.Lnext_\name:
	inc	%rsi
	inc	%rdi
	dec	%rdx
	jne	.Lload_\name
.Lout_\name:
	ret
.Lbad_\name:
	mov	$-14, %eax
	ret
	.size	\name, .-\name
	.pushsection .uar, "a"
	.quad	\first\()_\name, \last\()_\name, .Lbad_\name
	.long	3
	.popsection
	.endm
	.text
	bytes	in_range .Lload .Lnext
	bytes	in_range_wrong .Lload .Lstore
