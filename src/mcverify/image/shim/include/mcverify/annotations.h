/*
 * Words that address objtool, the unwinder, the debugger, the module loader or a test
 * harness. They add no instruction to a kernel whose CONFIG for them is off.
 */
#ifndef MCVERIFY_ANNOTATIONS_H
#define MCVERIFY_ANNOTATIONS_H

#define EXPORT_SYMBOL(name)
#define EXPORT_SYMBOL_GPL(name)
#define EXPORT_SYMBOL_NS(name, space)
#define EXPORT_SYMBOL_NS_GPL(name, space)
#define _ASM_NOKPROBE(name)
#define STACK_FRAME_NON_STANDARD(name)
#define STACK_FRAME_NON_STANDARD_FP(name)
#define ENDBR
#define FRAME_BEGIN
#define FRAME_END
#define FRAME_OFFSET	0

/* objtool and the ORC unwinder; the error-injection tests of 4.17 to 5.12 */
.irp mcverify_word, \
	ANNOTATE_NOENDBR, ANNOTATE_RETPOLINE_SAFE, ANNOTATE_UNRET_SAFE, ANNOTATE_UNRET_BEGIN, \
	ANNOTATE_INTRA_FUNCTION_CALL, ANNOTATE_IGNORE_ALTERNATIVE, ANNOTATE_NOSPEC_ALTERNATIVE, \
	VALIDATE_UNRET_BEGIN, VALIDATE_UNRET_END, REACHABLE, UNREACHABLE, \
	UNWIND_HINT_EMPTY, UNWIND_HINT_UNDEFINED, UNWIND_HINT_END_OF_STACK, \
	UNWIND_HINT_ENTRY, UNWIND_HINT_SAVE, UNWIND_HINT_RESTORE, \
	MCSAFE_TEST_CTL, MCSAFE_TEST_SRC, MCSAFE_TEST_DST, \
	COPY_MC_TEST_CTL, COPY_MC_TEST_SRC, COPY_MC_TEST_DST
.macro \mcverify_word arguments:vararg
.endm
.endr

/* called with named arguments */
.irp mcverify_word, UNWIND_HINT_FUNC, UNWIND_HINT_RET_OFFSET, UNWIND_HINT_REGS, UNWIND_HINT_IRET_REGS
.macro \mcverify_word base=, offset=, indirect=, extra=, partial=, signal=, sp_offset=
.endm
.endr

/* asm/dwarf2.h, 2.6 to 4.1 */
.irp mcverify_word, \
	STARTPROC, ENDPROC, DEF_CFA, DEF_CFA_REGISTER, DEF_CFA_OFFSET, ADJUST_CFA_OFFSET, \
	OFFSET, REL_OFFSET, REGISTER, RESTORE, REMEMBER_STATE, RESTORE_STATE, UNDEFINED, \
	ESCAPE, SIGNAL_FRAME
.macro CFI_\mcverify_word arguments:vararg
.endm
.endr

.macro pushq_cfi what:req
	pushq \what
.endm
.macro popq_cfi what:req
	popq \what
.endm
.macro movq_cfi register:req, offset=0
	movq %\register, \offset(%rsp)
.endm
.macro movq_cfi_restore offset:req, register:req
	movq \offset(%rsp), %\register
.endm

#endif
