/*
 * Code that the kernel patches at boot for the CPU it finds. Each ALTERNATIVE gives its
 * first body, the one of a CPU with none of the features.
 *
 * SMAP is the exception: stac and clac are there, as on every CPU of the last ten years,
 * so that "user access is closed at every exit" says something. MCVERIFY_SMAP=0 drops them.
 */
#ifndef MCVERIFY_ALTERNATIVE_H
#define MCVERIFY_ALTERNATIVE_H

.macro ALTERNATIVE old, new, feature
	\old
.endm
.macro ALTERNATIVE_2 old, new1, feature1, new2, feature2
	\old
.endm
.macro ALTERNATIVE_3 old, new1, feature1, new2, feature2, new3, feature3
	\old
.endm
#define ALTERNATIVE_TERNARY(old, feature, if_set, if_clear)	ALTERNATIVE old, if_set, feature

/* sources of 2.6 to 3.x list their alternatives by hand */
.macro altinstruction_entry entry:vararg
.endm

#ifndef MCVERIFY_SMAP
#define MCVERIFY_SMAP 1
#endif
#if MCVERIFY_SMAP
#define ASM_STAC	stac
#define ASM_CLAC	clac
#define __ASM_STAC	stac
#define __ASM_CLAC	clac
#else
#define ASM_STAC
#define ASM_CLAC
#define __ASM_STAC
#define __ASM_CLAC
#endif

#define LOCK_PREFIX	lock

.macro JMP_NOSPEC register:req
	jmp *%\register
.endm
.macro CALL_NOSPEC register:req
	call *%\register
.endm

#endif
