/* A table that no system here has: the fixup first, as a distance of 32 bits from the begin of the code; the instruction as
 * an absolute address of 64; a word of flags; between two symbols of .rodata. The handler answers with -14 in rax.
 * Right: answered proved with the [table] of own_table.toml, answered_wrong refuted O9: it clears the answer. */
	.text
code:
	.macro	copy name
	.globl	\name
	.type	\name, @function
\name:
	mov	%rdx, %rcx
.Lat_\name:
	rep movsb
	.endm
	copy	answered
	xor	%eax, %eax
.Lout:	ret
	.size	answered, .-answered
	copy	answered_wrong
.Lclears:
	xor	%eax, %eax
	ret
	.size	answered_wrong, .-answered_wrong
	.section .rodata, "a"
	.quad	0
table_begins:
	.long	.Lout - code
	.quad	.Lat_answered
	.long	7
	.long	.Lclears - code
	.quad	.Lat_answered_wrong
	.long	7
table_ends:
	.quad	0
