# In the form of litebox: Intel syntax that says so, pairs of 32-bit distances in .ex_table.
# Right: fallible proved, fallible_wrong refuted O3: it answers that all was copied.
	.intel_syntax noprefix
	.text
	.globl	fallible
	.type	fallible, @function
fallible:
	mov	rcx, rdx
.Lat:	rep movsb
.Lto:	mov	rax, rcx
	ret
	.size	fallible, .-fallible
	.globl	fallible_wrong
	.type	fallible_wrong, @function
fallible_wrong:
	mov	rcx, rdx
.Lat_wrong:
	rep movsb
.Lto_wrong:
	xor	eax, eax
	ret
	.size	fallible_wrong, .-fallible_wrong
	.pushsection .ex_table, "a"
	.balign	4
	.long	.Lat - .
	.long	.Lto - .
	.long	.Lat_wrong - .
	.long	.Lto_wrong - .
	.popsection
