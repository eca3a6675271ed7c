/* Own wording. A count in eax, with an address in the upper half of rax. Right: narrow PROVED with eax as the result, refuted with rax; narrow_ax counts in ax alone and is refuted. */
#include <linux/linkage.h>
#include <asm/asm.h>

	.text
SYM_FUNC_START(narrow)
	mov	%rdx, %rcx
.Lnarrow:
	rep movsb
.Lnarrow_out:
	mov	%rdi, %rax
	shl	$32, %rax
	or	%rcx, %rax
	RET
	_ASM_EXTABLE(.Lnarrow, .Lnarrow_out)
SYM_FUNC_END(narrow)

SYM_FUNC_START(narrow_ax)
	mov	%rdx, %rcx
.Lax:
	rep movsb
.Lax_out:
	mov	%edi, %eax
	shl	$16, %eax
	mov	%cx, %ax
	RET
	_ASM_EXTABLE(.Lax, .Lax_out)
SYM_FUNC_END(narrow_ax)
