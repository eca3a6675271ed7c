/* What is left is zeroed after a fault. Right: z_32 is proved; z_none zeroes nothing, z_less all but the last byte (both O6), z_ones stores
 * ones (O4, O6). */
	.macro	entry at to
	.pushsection __ex_table, "a"
	.balign	4
	.long	\at - ., \to - ., 3
	.popsection
	.endm
	.macro zc name fix:vararg
	.text
	.globl	\name
	.type	\name, @function
\name:	mov	%rdx, %rcx
.Lb_\name:
	rep movsb
	xor	%eax, %eax
	ret
.Lf_\name:
	mov	%rcx, %rdx
	xor	%eax, %eax
	\fix
.Lw_\name:
	rep stosb
	mov	%rdx, %rax
	ret
	.size	\name, .-\name
	entry	.Lb_\name .Lf_\name
	.endm
	zc z_none xor %ecx, %ecx
	zc z_less dec %rcx
	zc z_ones mov $1, %al
	zc z_32 mov %ecx, %ecx
