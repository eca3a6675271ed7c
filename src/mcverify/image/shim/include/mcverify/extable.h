/*
 * Exception-table entries. MCVERIFY_EXTABLE selects the layout (see models/x86_64/extable.toml):
 * 26 two absolute words, 45 two relative words, 46 relative with a handler, 516 with a
 * type word, which is the default.
 */
#ifndef MCVERIFY_EXTABLE_H
#define MCVERIFY_EXTABLE_H

#ifndef MCVERIFY_EXTABLE
#define MCVERIFY_EXTABLE 516
#endif

/* asm/extable_fixup_types.h, 5.17 on */
#define EX_DATA_REG(number)	((number) << 8)
#define EX_DATA_FLAG(flags)	((flags) << 12)
#define EX_DATA_IMM(number)	((number) << 16)

#define EX_FLAG_CLEAR_AX	EX_DATA_FLAG(1)
#define EX_FLAG_CLEAR_DX	EX_DATA_FLAG(2)
#define EX_FLAG_CLEAR_AX_DX	EX_DATA_FLAG(3)

#define EX_TYPE_NONE			0
#define EX_TYPE_DEFAULT			1
#define EX_TYPE_FAULT			2
#define EX_TYPE_UACCESS			3
#define EX_TYPE_COPY			4
#define EX_TYPE_CLEAR_FS		5
#define EX_TYPE_FPU_RESTORE		6
#define EX_TYPE_BPF			7
#define EX_TYPE_WRMSR			8
#define EX_TYPE_RDMSR			9
#define EX_TYPE_WRMSR_SAFE		10
#define EX_TYPE_RDMSR_SAFE		11
#define EX_TYPE_WRMSR_IN_MCE		12
#define EX_TYPE_RDMSR_IN_MCE		13
#define EX_TYPE_DEFAULT_MCE_SAFE	14
#define EX_TYPE_FAULT_MCE_SAFE		15
#define EX_TYPE_POP_REG			16
#define EX_TYPE_IMM_REG			17
#define EX_TYPE_FAULT_SGX		18
#define EX_TYPE_UCOPY_LEN		19
#define EX_TYPE_ZEROPAD			20
#define EX_TYPE_ERETU			21

#define EX_TYPE_POP_ZERO	(EX_TYPE_POP_REG | EX_DATA_IMM(0))
#define EX_TYPE_ZERO_REG	(EX_TYPE_IMM_REG | EX_DATA_IMM(0))
#define EX_TYPE_ONE_REG		(EX_TYPE_IMM_REG | EX_DATA_IMM(1))
#define EX_TYPE_EFAULT_REG	(EX_TYPE_IMM_REG | EX_DATA_IMM(-EFAULT))
#define EX_TYPE_UCOPY_LEN1	(EX_TYPE_UCOPY_LEN | EX_DATA_IMM(1))
#define EX_TYPE_UCOPY_LEN4	(EX_TYPE_UCOPY_LEN | EX_DATA_IMM(4))
#define EX_TYPE_UCOPY_LEN8	(EX_TYPE_UCOPY_LEN | EX_DATA_IMM(8))

/* 4.6 to 5.15 name a handler where later sources give a type */
#define MCVERIFY_TYPE_OF_ex_handler_default	EX_TYPE_DEFAULT
#define MCVERIFY_TYPE_OF_ex_handler_fault	EX_TYPE_FAULT
#define MCVERIFY_TYPE_OF_ex_handler_uaccess	EX_TYPE_UACCESS
#define MCVERIFY_TYPE_OF_ex_handler_copy	EX_TYPE_COPY

#if MCVERIFY_EXTABLE == 26
.macro mcverify_entry insn:req, fixup:req, data:req
	.if (\data) != EX_TYPE_DEFAULT && (\data) != EX_TYPE_UACCESS && (\data) != EX_TYPE_DEFAULT_MCE_SAFE
	.error "exception-table layout 26 has no handlers: use MCVERIFY_EXTABLE=46 or 516"
	.endif
	.pushsection __ex_table, "a", @progbits
	.p2align 3
	.quad \insn
	.quad \fixup
	.popsection
.endm
#elif MCVERIFY_EXTABLE == 45
.macro mcverify_entry insn:req, fixup:req, data:req
	.if (\data) != EX_TYPE_DEFAULT && (\data) != EX_TYPE_UACCESS && (\data) != EX_TYPE_DEFAULT_MCE_SAFE
	.error "exception-table layout 45 has no handlers: use MCVERIFY_EXTABLE=46 or 516"
	.endif
	.pushsection __ex_table, "a", @progbits
	.p2align 2
	.long \insn - .
	.long \fixup - .
	.popsection
.endm
#elif MCVERIFY_EXTABLE == 46
.macro mcverify_entry insn:req, fixup:req, data:req
	.pushsection __ex_table, "a", @progbits
	.p2align 2
	.long \insn - .
	.long \fixup - .
	.if (\data) == EX_TYPE_DEFAULT || (\data) == EX_TYPE_DEFAULT_MCE_SAFE
	.long ex_handler_default - .
	.elseif (\data) == EX_TYPE_FAULT || (\data) == EX_TYPE_FAULT_MCE_SAFE
	.long ex_handler_fault - .
	.elseif (\data) == EX_TYPE_UACCESS
	.long ex_handler_uaccess - .
	.elseif (\data) == EX_TYPE_COPY
	.long ex_handler_copy - .
	.else
	.error "exception-table layout 46 has no handler for this type: use MCVERIFY_EXTABLE=516"
	.endif
	.popsection
.endm
#elif MCVERIFY_EXTABLE == 516
.macro mcverify_entry insn:req, fixup:req, data:req
	.pushsection __ex_table, "a", @progbits
	.p2align 2
	.long \insn - .
	.long \fixup - .
	.long \data
	.popsection
.endm
#else
#error "MCVERIFY_EXTABLE must be 26, 45, 46 or 516"
#endif

/* `register` in the order of the CPU's encodings; both widths name the same register */
.macro mcverify_entry_register insn:req, fixup:req, type:req, register:req
	.set mcverify_number, 0
	.set mcverify_found, -1
	.irp name, rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15, \
		eax, ecx, edx, ebx, esp, ebp, esi, edi, r8d, r9d, r10d, r11d, r12d, r13d, r14d, r15d
	.ifc \register, %\name
	.set mcverify_found, mcverify_number & 15
	.endif
	.set mcverify_number, mcverify_number + 1
	.endr
	.if mcverify_found < 0
	.error "_ASM_EXTABLE_TYPE_REG takes a 32-bit or 64-bit register"
	.endif
	mcverify_entry "\insn", "\fixup", "(\type) + (mcverify_found << 8)"
.endm

/* quoted, since an expression may hold spaces */
#define MCVERIFY_ENTRY(from, to, data)	mcverify_entry #from, #to, #data
#define _ASM_EXTABLE_TYPE(from, to, type)	MCVERIFY_ENTRY((from), (to), (type))
#define MCVERIFY_ENTRY_REGISTER(from, to, type, register) \
	mcverify_entry_register #from, #to, #type, register
#define _ASM_EXTABLE_TYPE_REG(from, to, type, register) \
	MCVERIFY_ENTRY_REGISTER((from), (to), (type), register)

#define _ASM_EXTABLE(from, to)		_ASM_EXTABLE_TYPE(from, to, EX_TYPE_DEFAULT)
#define _ASM_EXTABLE_UA(from, to)	_ASM_EXTABLE_TYPE(from, to, EX_TYPE_UACCESS)
#define _ASM_EXTABLE_CPY(from, to)	_ASM_EXTABLE_TYPE(from, to, EX_TYPE_COPY)
#define _ASM_EXTABLE_FAULT(from, to)	_ASM_EXTABLE_TYPE(from, to, EX_TYPE_FAULT)
#if MCVERIFY_EXTABLE == 46
/* The name stands in the table, known or not. */
.macro mcverify_entry_handler insn:req, fixup:req, handler:req
	.pushsection __ex_table, "a", @progbits
	.p2align 2
	.long \insn - .
	.long \fixup - .
	.long \handler - .
	.popsection
.endm
#define MCVERIFY_ENTRY_HANDLER(from, to, handler)	mcverify_entry_handler #from, #to, #handler
#define _ASM_EXTABLE_HANDLE(from, to, handler)	MCVERIFY_ENTRY_HANDLER((from), (to), handler)
#else
#define _ASM_EXTABLE_HANDLE(from, to, handler) \
	_ASM_EXTABLE_TYPE(from, to, MCVERIFY_TYPE_OF_##handler)
#endif

#endif
