/* How a source begins and ends a symbol: linux/linkage.h of 2.6 to 7.3. */
#ifndef MCVERIFY_LINKAGE_H
#define MCVERIFY_LINKAGE_H

.macro mcverify_begin name:req, align:req, binding=
	.ifnb \binding
	\binding \name
	.endif
	.p2align \align, 0x90
\name:
.endm

/*
 * The length is kept under a name of its own for aliases, which come after the end. Sources of 2.6 end names
 * that nothing begins, which the assemblers of their time took: image.source tells the user.
 */
.macro mcverify_end name:req, type:req
	.ifdef \name
	.type \name, \type
	.set .Lmcverify_size_\name, . - \name
	.size \name, .Lmcverify_size_\name
	.endif
.endm

.macro mcverify_alias alias:req, name:req, binding=
	.ifnb \binding
	\binding \alias
	.endif
	.set \alias, \name
	.type \alias, @function
	.size \alias, .Lmcverify_size_\name
.endm

#define ASM_NL		;
#define __ALIGN		.p2align 4, 0x90
#define ALIGN		.p2align 4, 0x90

/* Return thunks, straight-line-speculation traps and padding are off. */
#define RET		ret

/* 2.6 to 5.4 */
#define ENTRY(name)		mcverify_begin name, 4, .globl
#define GLOBAL(name)		mcverify_begin name, 0, .globl
#define WEAK(name)		mcverify_begin name, 4, .weak
#define KPROBE_ENTRY(name)	mcverify_begin name, 4, .globl
#define END(name)		mcverify_end name, @notype
#define KPROBE_END(name)	mcverify_end name, @notype
#define ENDPROC(name)		mcverify_end name, @function

/* 5.5 on */
#define SYM_L_GLOBAL		.globl
#define SYM_L_WEAK		.weak
#define SYM_L_LOCAL
#define SYM_A_ALIGN		4
#define SYM_A_NONE		0
#define SYM_T_FUNC		@function
#define SYM_T_OBJECT		@object
#define SYM_T_NONE		@notype

#define MCVERIFY_BEGIN(...)		mcverify_begin __VA_ARGS__
#define SYM_ENTRY(name, binding, align)	MCVERIFY_BEGIN(name, align, binding)
#define SYM_START(name, binding, align)	MCVERIFY_BEGIN(name, align, binding)
#define SYM_TYPED_ENTRY(name, binding, align)	MCVERIFY_BEGIN(name, align, binding)
#define SYM_TYPED_START(name, binding, align)	MCVERIFY_BEGIN(name, align, binding)
#define SYM_END(name, type)		mcverify_end name, type

#define SYM_INNER_LABEL(name, binding)		MCVERIFY_BEGIN(name, 0, binding)
#define SYM_INNER_LABEL_ALIGN(name, binding)	MCVERIFY_BEGIN(name, 4, binding)

#define SYM_FUNC_START(name)			mcverify_begin name, 4, .globl
#define SYM_FUNC_START_NOALIGN(name)		mcverify_begin name, 0, .globl
#define SYM_FUNC_START_LOCAL(name)		mcverify_begin name, 4
#define SYM_FUNC_START_LOCAL_NOALIGN(name)	mcverify_begin name, 0
#define SYM_FUNC_START_WEAK(name)		mcverify_begin name, 4, .weak
#define SYM_FUNC_START_WEAK_NOALIGN(name)	mcverify_begin name, 0, .weak
#define SYM_TYPED_FUNC_START(name)		mcverify_begin name, 4, .globl
#define SYM_FUNC_END(name)			mcverify_end name, @function

/* 5.5 to 5.17: the alias begins before the routine and ends behind it */
#define SYM_FUNC_START_ALIAS(name)		mcverify_begin name, 4, .globl
#define SYM_FUNC_START_LOCAL_ALIAS(name)	mcverify_begin name, 4
#define SYM_FUNC_END_ALIAS(name)		mcverify_end name, @function

/* 5.18 on: the alias comes behind the routine */
#define SYM_ALIAS(alias, name, binding)		mcverify_alias alias, name, binding
#define SYM_FUNC_ALIAS(alias, name)		mcverify_alias alias, name, .globl
#define SYM_FUNC_ALIAS_LOCAL(alias, name)	mcverify_alias alias, name
#define SYM_FUNC_ALIAS_WEAK(alias, name)	mcverify_alias alias, name, .weak
#define SYM_FUNC_ALIAS_MEMFUNC(alias, name)	mcverify_alias alias, name, .globl

/* 6.16 on: the name under which code that runs before relocation calls it */
#define SYM_PIC_ALIAS(name)			mcverify_alias __pi_##name, name, .globl

#define SYM_CODE_START(name)			mcverify_begin name, 4, .globl
#define SYM_CODE_START_NOALIGN(name)		mcverify_begin name, 0, .globl
#define SYM_CODE_START_LOCAL(name)		mcverify_begin name, 4
#define SYM_CODE_START_LOCAL_NOALIGN(name)	mcverify_begin name, 0
#define SYM_CODE_END(name)			mcverify_end name, @notype

#define SYM_DATA_START(name)			mcverify_begin name, 0, .globl
#define SYM_DATA_START_LOCAL(name)		mcverify_begin name, 0
#define SYM_DATA_END(name)			mcverify_end name, @object

#endif
