/* In the form of Akaros: pairs of 64-bit distances from the word, in __ex_table. A status, as of __user_memcpy().
 * Right: status_copy proved, status_copy_wrong refuted O9: its fixup lies behind the mov of the error. */
	.macro	copy name to
	.globl	\name
	.type	\name, @function
\name:
	mov	%rdx, %rcx
.Lat_\name:
	rep movsb
	xor	%eax, %eax
.Lout_\name:
	ret
.Lbad_\name:
	mov	$-14, %eax
	jmp	.Lout_\name
	.size	\name, .-\name
	.pushsection "__ex_table","a"
	.balign	16
	.quad	(.Lat_\name) - .
	.quad	(\to\()_\name) - .
	.popsection
	.endm
	.text
	copy	status_copy .Lbad
	copy	status_copy_wrong .Lout
