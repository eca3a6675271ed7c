/* Own wording. A REP of one element at a time has one order alone: right without the SDM's promise. Of two elements at a time the count rests on it. */
#include <linux/linkage.h>
#include <asm/asm.h>

	.text
SYM_FUNC_START(one_rep)
.Lmore:
	cmp	$8, %rcx
	jb	.Lrest
.Lload:
	mov	(%rsi), %rax
	mov	%rax, (%rdi)
	add	$8, %rsi
	add	$8, %rdi
	sub	$8, %rcx
	jmp	.Lmore
.Lrest:
	mov	%rcx, %rdx
	jrcxz	.Lout
.Lnext:
	mov	$1, %ecx
.Lone:
	rep movsb
	dec	%rdx
	jnz	.Lnext
.Lout:
	mov	%rdx, %rcx
	RET
	_ASM_EXTABLE_UA(.Lload, .Lrest)
	_ASM_EXTABLE_UA(.Lone, .Lout)
SYM_FUNC_END(one_rep)

SYM_FUNC_START(pair_rep)
	mov	%rcx, %rdx
	test	$1, %dl
	jz	.Lpair_rest
	mov	$1, %ecx
.Lpair_one:
	rep movsb
	dec	%rdx
.Lpair_rest:
	test	%rdx, %rdx
	jz	.Lpair_out
.Lpair_next:
	mov	$2, %ecx
.Lpair:
	rep movsb
	sub	$2, %rdx
	jnz	.Lpair_next
.Lpair_out:
	mov	%rdx, %rcx
	RET
.Lpair_fix:
	lea	-2(%rdx,%rcx), %rcx
	RET
	_ASM_EXTABLE_UA(.Lpair_one, .Lpair_out)
	_ASM_EXTABLE_UA(.Lpair, .Lpair_fix)
SYM_FUNC_END(pair_rep)
