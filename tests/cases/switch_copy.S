/* Short lengths by a table of read-only data, ascending bytes, a fault anywhere gives -1; longer ones by rep movsb.
 * Right: by_distance and by_address proved (contract status, loads and stores), also where the index comes through a
 * 32-bit register. swapped refuted O8, O9: two words of its table are exchanged. open not proved: length 4 goes beside
 * its table. narrow not proved: it takes the distance for an unsigned number. */
	.macro	entry at to
	.pushsection __ex_table, "a"
	.balign	4
	.long	\at - ., \to - ., 3
	.popsection
	.endm

	.macro	bytes name
.Lrep_\name:
	mov	%rdx, %rcx
.Lr_\name:
	rep movsb
.L0_\name:
	xor	%eax, %eax
	ret
.L3_\name:
.Ls3_\name:
	mov	(%rsi), %al
.Ld3_\name:
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
.L2_\name:
.Ls2_\name:
	mov	(%rsi), %al
.Ld2_\name:
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
.L1_\name:
.Ls1_\name:
	mov	(%rsi), %al
.Ld1_\name:
	mov	%al, (%rdi)
	jmp	.L0_\name
.Lbad_\name:
	mov	$-1, %rax
	ret
	.size	\name, .-\name
	entry	.Lr_\name .Lbad_\name
	entry	.Ls1_\name .Lbad_\name
	entry	.Ld1_\name .Lbad_\name
	entry	.Ls2_\name .Lbad_\name
	entry	.Ld2_\name .Lbad_\name
	entry	.Ls3_\name .Lbad_\name
	entry	.Ld3_\name .Lbad_\name
	.endm

	.macro	distances name widen a b c d most
	.text
	.globl	\name
	.type	\name, @function
\name:
	cmp	$\most, %rdx
	ja	.Lrep_\name
	lea	.Ltab_\name(%rip), %r10
	mov	%edx, %eax
	\widen
	add	%r10, %rcx
	jmp	*%rcx
	bytes	\name
	.section .rodata
	.balign	4
.Ltab_\name:
	.long	.L\a\()_\name-.Ltab_\name, .L\b\()_\name-.Ltab_\name
	.long	.L\c\()_\name-.Ltab_\name, .L\d\()_\name-.Ltab_\name
	.endm

	distances by_distance "movslq	(%r10,%rax,4), %rcx" 0 1 2 3 3
	distances swapped "movslq	(%r10,%rax,4), %rcx" 0 2 1 3 3
	distances open "movslq	(%r10,%rax,4), %rcx" 0 1 2 3 4
	distances narrow "mov	(%r10,%rax,4), %ecx" 0 1 2 3 3

	.text
	.globl	by_address
	.type	by_address, @function
by_address:
	cmp	$3, %rdx
	ja	.Lrep_by_address
	lea	.Ltab_by_address(%rip), %r10
	jmp	*(%r10,%rdx,8)
	bytes	by_address
	.section .rodata
	.balign	8
.Ltab_by_address:
	.quad	.L0_by_address, .L1_by_address, .L2_by_address, .L3_by_address
