/*
 * Instructions that the kernel takes from a header. These are ours, with the same effect
 * but not the same bytes: image.source tells the user where one is used.
 * A source that has a macro of this name itself is assembled with MCVERIFY_OWN_<name>.
 */
#ifndef MCVERIFY_STAND_INS_H
#define MCVERIFY_STAND_INS_H

/*
 * asm/asm.h of 3.x to 5.x: copy single bytes until rdi is a multiple of 8; edx counts down
 * with them, ecx and al are clobbered; after a fault edx holds the bytes left.
 */
#ifndef MCVERIFY_OWN_ALIGN_DESTINATION
.macro ALIGN_DESTINATION
	movl	%edi, %ecx
	negl	%ecx
	andl	$7, %ecx
	je	.Laligned_\@
	subl	%ecx, %edx
.Lalign_load_\@:
	movb	(%rsi), %al
.Lalign_store_\@:
	movb	%al, (%rdi)
	addq	$1, %rsi
	addq	$1, %rdi
	subl	$1, %ecx
	jne	.Lalign_load_\@
.Laligned_\@:
	.pushsection .fixup, "ax", @progbits
.Lfix_align_\@:
	leal	(%rdx,%rcx), %edx
	jmp	copy_user_handle_tail
	.popsection
	_ASM_EXTABLE_UA(.Lalign_load_\@, .Lfix_align_\@)
	_ASM_EXTABLE_UA(.Lalign_store_\@, .Lfix_align_\@)
.endm
#endif

/* asm/runtime-const.h, 6.11 on: the number that is patched in at boot */
#define MCVERIFY_RUNTIME_USER_PTR_MAX	TASK_SIZE_MAX
#ifndef MCVERIFY_OWN_RUNTIME_CONST_PTR
.macro RUNTIME_CONST_PTR name:req, register:req
	.ifc \name, USER_PTR_MAX
	movabsq	$MCVERIFY_RUNTIME_USER_PTR_MAX, %\register
	.else
	movabsq	$\name, %\register
	.endif
.endm
#endif

/*
 * The current task, up to 5.x. The offsets belong to no kernel: no proof may rest on them,
 * and none does, for a load at gs is none of the source.
 */
#define GET_THREAD_INFO(register)	movq %gs:current_task, register
#define TI_addr_limit	0x18
#define TI_flags	0x08
#define TI_status	0x0c
#define TASK_addr_limit	0x18

#endif
