/* Fills with the word in esi, whatever the length. Right: fill_words is proved; each of the others is REFUTED, O6 alone:
 * words_tail takes the low byte for each byte of the tail, words_from starts the tail with the second byte, words_byte
 * spreads the low byte over the word (and adds what lies above it), words_swapped stores the halves of the word the other way round. */
	.macro	entry at to
	.pushsection __ex_table, "a"
	.balign	4
	.long	\at - ., \to - ., 3
	.popsection
	.endm
	.macro	fill name prepare:vararg
	.globl	\name
	.type	\name, @function
\name:				/* rdi to, esi word, rdx length; rax left */
	mov	%esi, %eax
	mov	%rdx, %rcx
	shr	$2, %rcx
	and	$3, %edx
	\prepare
.Lq_\name:
	rep stosl
	mov	%edx, %ecx
	test	%ecx, %ecx
	jz	.Lout_\name
	.endm
	.macro	tail name
.Lout_\name:
	mov	%rcx, %rax
	ret
.Lfq_\name:
	lea	(%rdx,%rcx,4), %rax
	ret
	.size	\name, .-\name
	entry	.Lq_\name .Lfq_\name
	.endm
	.macro	byte name at
.L\at\()_\name:
	mov	%al, (%rdi)
	inc	%rdi
	shr	$8, %eax
	dec	%ecx
	jz	.Lout_\name
	entry	.L\at\()_\name .Lout_\name
	.endm
	.text
	fill	fill_words
	byte	fill_words 0
	byte	fill_words 1
	byte	fill_words 2
	tail	fill_words

	fill	words_tail
.L0_words_tail:
	rep stosb
	tail	words_tail
	entry	.L0_words_tail .Lout_words_tail

	fill	words_from
	shr	$8, %eax
	byte	words_from 0
	byte	words_from 1
	byte	words_from 2
	tail	words_from

	fill	words_byte imul $0x01010101, %eax, %eax
	byte	words_byte 0
	byte	words_byte 1
	byte	words_byte 2
	tail	words_byte

	fill	words_swapped rol $16, %eax
	byte	words_swapped 0
	byte	words_swapped 1
	byte	words_swapped 2
	tail	words_swapped
