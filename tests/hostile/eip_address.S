/* SPDX-License-Identifier: MIT */
/*
 * Copies nothing where the lower half of an address of the code has bit 30 set:
 * wrong for some places to which the kernel may be loaded.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left */
/* expect: refuted O3 at success */
/* expect: refuted O9 at success */
/* unknown: the address of the code is not known before it is loaded */
SYM_FUNC_START(eip_address)
	lea	0(%eip), %ecx
	test	$0x40000000, %ecx
	jnz	.Lout
	mov	%rdx, %rcx
.Lcopy:
	rep	movsb
.Lout:
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET

	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(eip_address)
