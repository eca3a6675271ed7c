/* In the form of DragonOS: pairs of 64-bit distances from the begin of the entry, in __ex_table.
 * Right: status_copy proved, status_copy_wrong refuted O9. By --table akaros, which counts from the word: refused, since
 * the second fixup seems to lie behind the code. */
	.macro	copy name to
	.globl	\name
	.type	\name, @function
\name:
	mov	%rdx, %rcx
.Lat_\name:
	rep movsb
	xor	%eax, %eax
	ret
.Lbad_\name:
	mov	$-14, %eax
.Lout_\name:
	ret
	.size	\name, .-\name
	.pushsection __ex_table, "a"
	.balign	8
.Lentry_\name:
	.quad	.Lat_\name - .Lentry_\name
	.quad	\to\()_\name - .Lentry_\name
	.popsection
	.endm
	.text
	copy	status_copy .Lbad
	copy	status_copy_wrong .Lout
