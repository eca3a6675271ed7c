/* SPDX-License-Identifier: MIT */
/*
 * A zero is read whose place is known to a layout of one file alone: at an
 * address as a number, at a distance from the code, at a weak symbol, behind an
 * element of a section whose elements the linker merges. Where something else
 * lies there nothing is copied, and all is claimed.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

	.text
.Lcode:

/* an address as a number */
/* mcverify: contract bytes_left */
SYM_FUNC_START(by_number)
	movabs	$0x100000004008, %rcx
	mov	(%rcx), %rax
	test	%rax, %rax
	jnz	.Lby_number_out
	test	%rdx, %rdx
	jz	.Lby_number_out
.Lby_number_read:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rdx
	jnz	.Lby_number_read
.Lby_number_out:
	xor	%eax, %eax
	RET
.Lby_number_fix:
	mov	%rdx, %rax
	RET
	_ASM_EXTABLE_TYPE(.Lby_number_read, .Lby_number_fix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(by_number)

/* a distance from a symbol of another section */
/* mcverify: contract bytes_left */
SYM_FUNC_START(from_code)
	mov	.Lcode+0x5000(%rip), %rax
	test	%rax, %rax
	jnz	.Lfrom_code_out
	test	%rdx, %rdx
	jz	.Lfrom_code_out
.Lfrom_code_read:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rdx
	jnz	.Lfrom_code_read
.Lfrom_code_out:
	xor	%eax, %eax
	RET
.Lfrom_code_fix:
	mov	%rdx, %rax
	RET
	_ASM_EXTABLE_TYPE(.Lfrom_code_read, .Lfrom_code_fix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(from_code)

/* a distance that no relocation writes */
/* mcverify: contract bytes_left */
SYM_FUNC_START(from_here)
	mov	0x4fb0(%rip), %rax
	test	%rax, %rax
	jnz	.Lfrom_here_out
	test	%rdx, %rdx
	jz	.Lfrom_here_out
.Lfrom_here_read:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rdx
	jnz	.Lfrom_here_read
.Lfrom_here_out:
	xor	%eax, %eax
	RET
.Lfrom_here_fix:
	mov	%rdx, %rax
	RET
	_ASM_EXTABLE_TYPE(.Lfrom_here_read, .Lfrom_here_fix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(from_here)

/* a symbol that another file may define */
/* mcverify: contract bytes_left */
SYM_FUNC_START(weak_datum)
	mov	may_be_elsewhere(%rip), %rax
	test	%rax, %rax
	jnz	.Lweak_datum_out
	test	%rdx, %rdx
	jz	.Lweak_datum_out
.Lweak_datum_read:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rdx
	jnz	.Lweak_datum_read
.Lweak_datum_out:
	xor	%eax, %eax
	RET
.Lweak_datum_fix:
	mov	%rdx, %rax
	RET
	_ASM_EXTABLE_TYPE(.Lweak_datum_read, .Lweak_datum_fix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(weak_datum)

/* an element of another symbol */
/* mcverify: contract bytes_left */
SYM_FUNC_START(merged)
	mov	.Lone+8(%rip), %rax
	test	%rax, %rax
	jnz	.Lmerged_out
	test	%rdx, %rdx
	jz	.Lmerged_out
.Lmerged_read:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rdx
	jnz	.Lmerged_read
.Lmerged_out:
	xor	%eax, %eax
	RET
.Lmerged_fix:
	mov	%rdx, %rax
	RET
	_ASM_EXTABLE_TYPE(.Lmerged_read, .Lmerged_fix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(merged)

	.section .rodata.cst8, "aM", @progbits, 8
.Lone:
	.quad	1
	.quad	0
	.section .rodata, "a"
	.weak may_be_elsewhere
may_be_elsewhere:
	.quad	0, 0, 0, 0, 0, 0, 0, 0
