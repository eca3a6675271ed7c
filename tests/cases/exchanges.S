/* Exchanges of a word in user memory by one locked instruction. rdi its address, esi what it must be, edx what it becomes;
 * eax 0 or -14, ecx the word as it was. Right (contract cas.toml): cas_right proved, none of the others, which no run refutes yet: cas_zero answers 0
 * after a fault; cas_found returns what it was to become; cas_plain is a load and a store; cas_other
 * compares with another register; cas_twice does it twice; cas_beside goes 4 bytes further; cas_bare has no entry;
 * cas_stored faults once it has stored. (contract swap.toml): swap_right proved, and none of the first ones. */
	.macro	begin name
	.globl	\name
	.type	\name, @function
\name:
	.endm
	.macro	finish name
	xor	%eax, %eax
	ret
.Lbad_\name:
	mov	$-14, %eax
	ret
	.size	\name, .-\name
	.endm
	.macro	entry name
	.pushsection __ex_table, "a"
	.balign	4
	.long	.La_\name - ., .Lbad_\name - ., 3
	.popsection
	.endm
	.text
	begin	cas_right
	mov	%esi, %eax
.La_cas_right:
	lock cmpxchg %edx, (%rdi)
	mov	%eax, %ecx
	finish	cas_right
	entry	cas_right

	begin	cas_zero
	mov	%esi, %eax
.La_cas_zero:
	lock cmpxchg %edx, (%rdi)
.Lbad_cas_zero:
	mov	%eax, %ecx
	xor	%eax, %eax
	ret
	.size	cas_zero, .-cas_zero
	entry	cas_zero

	begin	cas_found
	mov	%esi, %eax
.La_cas_found:
	lock cmpxchg %edx, (%rdi)
	mov	%edx, %ecx
	finish	cas_found
	entry	cas_found

	begin	cas_plain
	xor	%ecx, %ecx
	mov	%esi, %eax
.La_cas_plain:
	cmpxchg %edx, (%rdi)
	mov	%eax, %ecx
	finish	cas_plain
	entry	cas_plain

	begin	cas_other
	mov	%edx, %eax
.La_cas_other:
	lock cmpxchg %edx, (%rdi)
	mov	%eax, %ecx
	finish	cas_other
	entry	cas_other

	begin	cas_twice
	mov	%esi, %eax
.La_cas_twice:
	lock cmpxchg %edx, (%rdi)
	mov	%esi, %eax
.La_twice:
	lock cmpxchg %edx, (%rdi)
	mov	%eax, %ecx
	finish	cas_twice
	entry	cas_twice
	.pushsection __ex_table, "a"
	.long	.La_twice - ., .Lbad_cas_twice - ., 3
	.popsection

	begin	cas_beside
	mov	%esi, %eax
.La_cas_beside:
	lock cmpxchg %edx, 4(%rdi)
	mov	%eax, %ecx
	finish	cas_beside
	entry	cas_beside

	begin	cas_bare
	mov	%esi, %eax
	lock cmpxchg %edx, (%rdi)
.La_cas_bare:
	mov	%eax, %ecx
	finish	cas_bare

	begin	cas_stored
	mov	%esi, %eax
	mov	%esi, %r8d
.La_cas_stored:
	lock cmpxchg %edx, (%rdi)
	mov	%eax, %ecx
	jmp	.Lbad_cas_stored
	finish	cas_stored
	entry	cas_stored

	begin	swap_right
.La_swap_right:
	xchg	%edx, (%rdi)
	mov	%edx, %ecx
	finish	swap_right
	entry	swap_right
