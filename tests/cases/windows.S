/* No exception table: a handler lies in a slot behind the pointer at %gs:0x20 (FreeBSD). A status, 14 after a fault anywhere
 * in the window. Right: open_all and by_lea proved (contract status, loads and stores); none of the others, which no run can
 * refute. in_loop is right, but the invariants of a loop are guessed from runs, of which there are none here. late opens the window behind the copy, early closes it before the last byte, open_at_return does not close it after a fault,
 * other_slot closes another one, other_value puts a number into it, bare_word goes elsewhere from gs, lies answers 0 after a fault. */
	.macro	begin name
	.text
	.globl	\name
	.type	\name, @function
\name:
	mov	%gs:0x20, %r8
	.endm
	.macro	finish name result
	xor	%eax, %eax
.Lend_\name:
	mov	%gs:0x20, %r8
	movq	$0, 0x10(%r8)
	ret
.Lbad_\name:
	mov	$\result, %eax
	jmp	.Lend_\name
	.size	\name, .-\name
	.endm

	begin	open_all
	movq	$.Lbad_open_all, 0x10(%r8)
	mov	%rdx, %rcx
	rep movsb
	finish	open_all 14

	begin	by_lea
	lea	.Lbad_by_lea(%rip), %rax
	mov	%rax, 0x10(%r8)
	mov	%rdx, %rcx
	rep movsb
	movq	$.Lbad_by_lea, 0x10(%r8)	/* the same handler again */
	finish	by_lea 14

	begin	in_loop
	movq	$.Lbad_in_loop, 0x10(%r8)
	test	%rdx, %rdx
	je	1f
2:	mov	(%rsi), %cl
	mov	%cl, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rdx
	jne	2b
1:	finish	in_loop 14

	begin	late
	mov	%rdx, %rcx
	rep movsb
	movq	$.Lbad_late, 0x10(%r8)
	finish	late 14

	begin	early
	movq	$.Lbad_early, 0x10(%r8)
	mov	%rdx, %rcx
	test	%rcx, %rcx
	je	1f
	dec	%rcx
	rep movsb
	movq	$0, 0x10(%r8)
	movsb
1:	finish	early 14

	begin	open_at_return
	movq	$.Lbad_open_at_return, 0x10(%r8)
	mov	%rdx, %rcx
	rep movsb
	xor	%eax, %eax
	movq	$0, 0x10(%r8)
	ret
.Lbad_open_at_return:
	mov	$14, %eax
	ret
	.size	open_at_return, .-open_at_return

	begin	other_slot
	movq	$.Lbad_other_slot, 0x18(%r8)
	mov	%rdx, %rcx
	rep movsb
	finish	other_slot 14

	begin	other_value
	movq	$.Lbad_other_value, 0x10(%r8)
	mov	%rdx, %rcx
	rep movsb
	movq	$1, 0x10(%r8)
	finish	other_value 14

	begin	bare_word
	mov	%gs:0x28, %r8
	movq	$.Lbad_bare_word, 0x10(%r8)
	mov	%rdx, %rcx
	rep movsb
	finish	bare_word 14

	begin	lies
	movq	$.Lbad_lies, 0x10(%r8)
	mov	%rdx, %rcx
	rep movsb
	finish	lies 0
