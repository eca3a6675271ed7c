/* Copies of a string with one mistake each, all REFUTED: string_late stores a byte behind the zero byte (O4), string_counted
 * counts the zero byte (O9), string_open does not copy it (O9), string_over reads a byte at the limit (O8), string_narrow
 * returns the error in 32 bits (O9), string_zero returns 0 for it (O9), string_even looks at every second byte alone
 * (O4, O9), string_ahead reads the byte behind, and reports its fault though the string ends before (O5, O8). */
	.macro	entry at to
	.pushsection __ex_table, "a"
	.balign	4
	.long	\at - ., \to - ., 3
	.popsection
	.endm
	.macro	begin name
	.text
	.globl	\name
	.type	\name, @function
\name:
	xor	%ecx, %ecx
	.endm
	.macro	finish name error:vararg
.Lend_\name:
	mov	%rcx, %rax
	ret
.Lbad_\name:
	\error
	ret
	.size	\name, .-\name
	entry	.Lr_\name .Lbad_\name
	.endm

	begin	string_late
1:	cmp	%rdx, %rcx
	je	.Lend_string_late
.Lr_string_late:
	mov	(%rsi,%rcx), %al
	mov	%al, (%rdi,%rcx)
	test	%al, %al
	jnz	2f
	lea	1(%rcx), %r8
	cmp	%rdx, %r8
	jae	.Lend_string_late
	movb	$0, (%rdi,%r8)
	jmp	.Lend_string_late
2:	inc	%rcx
	jmp	1b
	finish	string_late mov $-14, %rax

	begin	string_counted
1:	cmp	%rdx, %rcx
	je	.Lend_string_counted
.Lr_string_counted:
	mov	(%rsi,%rcx), %al
	mov	%al, (%rdi,%rcx)
	inc	%rcx
	test	%al, %al
	jnz	1b
	finish	string_counted mov $-14, %rax

	begin	string_open
1:	cmp	%rdx, %rcx
	je	.Lend_string_open
.Lr_string_open:
	mov	(%rsi,%rcx), %al
	test	%al, %al
	jz	.Lend_string_open
	mov	%al, (%rdi,%rcx)
	inc	%rcx
	jmp	1b
	finish	string_open mov $-14, %rax

	begin	string_over
.Lr_string_over:
	mov	(%rsi,%rcx), %al
	cmp	%rdx, %rcx
	je	.Lend_string_over
	mov	%al, (%rdi,%rcx)
	test	%al, %al
	jz	.Lend_string_over
	inc	%rcx
	jmp	.Lr_string_over
	finish	string_over mov $-14, %rax

	.macro	plain name error:vararg
	begin	\name
1:	cmp	%rdx, %rcx
	je	.Lend_\name
.Lr_\name:
	mov	(%rsi,%rcx), %al
	mov	%al, (%rdi,%rcx)
	test	%al, %al
	jz	.Lend_\name
	inc	%rcx
	jmp	1b
	finish	\name \error
	.endm
	plain	string_narrow mov $-14, %eax
	plain	string_zero xor %eax, %eax

	begin	string_even
1:	cmp	%rdx, %rcx
	je	.Lend_string_even
.Lr_string_even:
	mov	(%rsi,%rcx), %al
	mov	%al, (%rdi,%rcx)
	test	$1, %cl
	jnz	2f
	test	%al, %al
	jz	.Lend_string_even
2:	inc	%rcx
	jmp	1b
	finish	string_even mov $-14, %rax

	begin	string_ahead
1:	cmp	%rdx, %rcx
	je	.Lend_string_ahead
.Lr_string_ahead:
	mov	(%rsi,%rcx), %ax
	mov	%al, (%rdi,%rcx)
	test	%al, %al
	jz	.Lend_string_ahead
	inc	%rcx
	jmp	1b
	finish	string_ahead mov $-14, %rax
