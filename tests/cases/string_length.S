/* The length of a string in user memory, as strnlen_user() gives it. Right: length_bytes is proved; length_limit returns the limit
 * where there is no zero byte (O9), length_plain does not count the zero byte (O9). */
	.macro	entry at to
	.pushsection __ex_table, "a"
	.balign	4
	.long	\at - ., \to - ., 3
	.popsection
	.endm
	.macro	length name limit plus
	.text
	.globl	\name
	.type	\name, @function
\name:
	xor	%eax, %eax
1:	cmp	%rsi, %rax
	je	3f
.Lr_\name:
	cmpb	$0, (%rdi,%rax)
	je	2f
	inc	%rax
	jmp	1b
2:	add	$\plus, %rax
	ret
3:	add	$\limit, %rax
	ret
.Lbad_\name:
	xor	%eax, %eax
	ret
	.size	\name, .-\name
	entry	.Lr_\name .Lbad_\name
	.endm
	length	length_bytes 1 1
	length	length_limit 0 1
	length	length_plain 1 0
