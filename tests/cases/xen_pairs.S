/* A copy by words and bytes in the form of Xen: entries are pairs of 32-bit distances in .ex_table, several a line.
 * Right: xen_words proved (uaccess_progress below), xen_words_wrong refuted O3: the fixup of the words leaves their
 * count as it is, of words and not of bytes. */
	.macro	copy name scale
	.globl	\name
	.type	\name, @function
\name:
	mov	%rdx, %rcx
	and	$7, %edx
	shr	$3, %rcx
.Lwords_\name:
	rep movsq
	mov	%edx, %ecx
.Lbytes_\name:
	rep movsb
.Lout_\name:
	mov	%rcx, %rax
	ret
.Lfix_\name:
	lea	(%rdx,%rcx,\scale), %rcx
	jmp	.Lout_\name
	.size	\name, .-\name
	.pushsection .ex_table, "a"
	.balign	4
	.long	.Lwords_\name - ., .Lfix_\name - .
	.long	.Lbytes_\name - ., .Lout_\name - .
	.popsection
	.endm
	.text
	copy	xen_words 8
	copy	xen_words_wrong 4
