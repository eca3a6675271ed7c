/* Stores of which some have an entry, under contracts that let loads fault. */
#include <linux/linkage.h>
#include <asm/asm.h>
/* mcverify: contract bytes_left */
	.text
/* The first byte's store has an entry, with a right fixup; that of the others has none. */
SYM_FUNC_START(some)
	mov %rdx, %rax
	test %rdx, %rdx
	jz 2f
.Lload:	movb (%rsi), %cl
.Lstore: movb %cl, (%rdi)
	jmp 1f
.Lnext:	movb (%rsi), %cl
	movb %cl, (%rdi)
1:	inc %rsi
	inc %rdi
	dec %rax
	jnz .Lnext
2:	RET
	_ASM_EXTABLE_FAULT(.Lload, .Lwhole)
	_ASM_EXTABLE(.Lstore, .Lwhole)
	_ASM_EXTABLE(.Lnext, .Lrest)
.Lwhole: mov %rdx, %rax
.Lrest:	RET
SYM_FUNC_END(some)

/* An entry for code that nothing reaches, and one for an instruction that accesses nothing. */
SYM_FUNC_START(unused)
	mov %rdx, %rax
	RET
.Lnever: movb (%rsi), %cl
.Lout:	RET
	_ASM_EXTABLE(.Lnever, .Lout)
SYM_FUNC_END(unused)
