/* The slot of a handler whose address is the fourth argument, and whose old value is put back (Haiku). The handler's kernel puts
 * -1 into eax. Right with slot_argument.toml: restored proved; kept not: it leaves its own handler there. */
	.text
	.globl	restored
	.type	restored, @function
restored:
	mov	(%rcx), %r8
	mov	%rcx, %r9
	lea	.Lend_restored(%rip), %rax
	mov	%rax, (%rcx)
	mov	%rdx, %rcx
	rep movsb
	xor	%eax, %eax
.Lend_restored:
	mov	%r8, (%r9)
	ret
	.size	restored, .-restored
	.globl	kept
	.type	kept, @function
kept:
	mov	(%rcx), %r8
	mov	%rcx, %r9
	lea	.Lend_kept(%rip), %rax
	mov	%rax, (%rcx)
	mov	%rdx, %rcx
	rep movsb
	xor	%eax, %eax
	mov	%r8, (%r9)
.Lend_kept:
	ret
	.size	kept, .-kept
