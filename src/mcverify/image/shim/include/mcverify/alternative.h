/*
 * Code that the kernel patches at boot for the CPU it finds: the first body stands in the
 * routine, the others in .altinstr_replacement, and .altinstructions says when they are
 * taken, as in the kernel. MCVERIFY_ALTINSTR selects the layout of the latter (see
 * models/x86_64/altinstructions.toml): 24 absolute with a byte for the feature, 35 absolute, 31
 * relative, 41 with the length of the padding, 513 with an inverted bit, 63 with flags, which
 * is the default.
 */
#ifndef MCVERIFY_ALTERNATIVE_H
#define MCVERIFY_ALTERNATIVE_H

#ifndef MCVERIFY_ALTINSTR
#define MCVERIFY_ALTINSTR 63
#endif

#if MCVERIFY_ALTINSTR == 63
#define ALT_NOT(feature)	((feature) | (1 << 16))
#elif MCVERIFY_ALTINSTR == 513
#define ALT_NOT(feature)	((feature) | (1 << 15))
#endif

/* sources of 3.1 to 4.0 list some of their alternatives by hand */
#if MCVERIFY_ALTINSTR == 24
.macro altinstruction_entry site:req, new:req, feature:req, length:req, new_length:req, padding=0
	.if (\feature) > 255
	.error "the layout of 2.6.16 to 2.6.34 has no room for this feature: use another MCVERIFY_ALTINSTR"
	.endif
	.p2align 3
	.quad \site
	.quad \new
	.byte \feature
	.byte \length
	.byte \new_length
	.p2align 3
.endm
#elif MCVERIFY_ALTINSTR == 35
.macro altinstruction_entry site:req, new:req, feature:req, length:req, new_length:req, padding=0
	.p2align 3
	.quad \site
	.quad \new
	.2byte \feature
	.byte \length
	.byte \new_length
	.p2align 3
.endm
#elif MCVERIFY_ALTINSTR == 31 || MCVERIFY_ALTINSTR == 513
.macro altinstruction_entry site:req, new:req, feature:req, length:req, new_length:req, padding=0
	.long \site - .
	.long \new - .
	.2byte \feature
	.byte \length
	.byte \new_length
.endm
#elif MCVERIFY_ALTINSTR == 41
.macro altinstruction_entry site:req, new:req, feature:req, length:req, new_length:req, padding=0
	.long \site - .
	.long \new - .
	.2byte \feature
	.byte \length
	.byte \new_length
	.byte \padding
.endm
#elif MCVERIFY_ALTINSTR == 63
.macro altinstruction_entry site:req, new:req, feature:req, length:req, new_length:req, padding=0
	.long \site - .
	.long \new - .
	.4byte \feature
	.byte \length
	.byte \new_length
.endm
#else
#error "MCVERIFY_ALTINSTR must be 24, 35, 31, 41, 513 or 63"
#endif

/*
 * The parts of ALTERNATIVE number `id`: .Lmcverify_old_ begins its first body, which ends at
 * .Lmcverify_end0_; body n to choose from lies between .Lmcverify_new`n`_ and .Lmcverify_stop`n`_.
 */
/* nops behind the body that ends at end`before`, up to the length of body `number` */
.macro mcverify_pad id:req, number:req, before:req
	.skip -(((.Lmcverify_stop\number\()_\id - .Lmcverify_new\number\()_\id) - \
		 (.Lmcverify_end\before\()_\id - .Lmcverify_old_\id)) > 0) * \
		((.Lmcverify_stop\number\()_\id - .Lmcverify_new\number\()_\id) - \
		 (.Lmcverify_end\before\()_\id - .Lmcverify_old_\id)), 0x90
.Lmcverify_end\number\()_\id:
.endm

/* without spaces, which would divide arguments */
.macro mcverify_choose id:req, number:req, last:req, feature:req
	.pushsection .altinstructions, "a", @progbits
	altinstruction_entry .Lmcverify_old_\id, .Lmcverify_new\number\()_\id, \feature, \
		.Lmcverify_end\last\()_\id-.Lmcverify_old_\id, \
		.Lmcverify_stop\number\()_\id-.Lmcverify_new\number\()_\id, \
		.Lmcverify_end\last\()_\id-.Lmcverify_end0_\id
	.popsection
.endm

.macro ALTERNATIVE old, new, feature
.Lmcverify_old_\@:
	\old
.Lmcverify_end0_\@:
	mcverify_pad \@, 1, 0
	.pushsection .altinstr_replacement, "ax", @progbits
.Lmcverify_new1_\@:
	\new
.Lmcverify_stop1_\@:
	.popsection
	mcverify_choose \@, 1, 1, \feature
.endm

.macro ALTERNATIVE_2 old, new1, feature1, new2, feature2
.Lmcverify_old_\@:
	\old
.Lmcverify_end0_\@:
	mcverify_pad \@, 1, 0
	mcverify_pad \@, 2, 1
	.pushsection .altinstr_replacement, "ax", @progbits
.Lmcverify_new1_\@:
	\new1
.Lmcverify_stop1_\@:
.Lmcverify_new2_\@:
	\new2
.Lmcverify_stop2_\@:
	.popsection
	mcverify_choose \@, 1, 2, \feature1
	mcverify_choose \@, 2, 2, \feature2
.endm

.macro ALTERNATIVE_3 old, new1, feature1, new2, feature2, new3, feature3
.Lmcverify_old_\@:
	\old
.Lmcverify_end0_\@:
	mcverify_pad \@, 1, 0
	mcverify_pad \@, 2, 1
	mcverify_pad \@, 3, 2
	.pushsection .altinstr_replacement, "ax", @progbits
.Lmcverify_new1_\@:
	\new1
.Lmcverify_stop1_\@:
.Lmcverify_new2_\@:
	\new2
.Lmcverify_stop2_\@:
.Lmcverify_new3_\@:
	\new3
.Lmcverify_stop3_\@:
	.popsection
	mcverify_choose \@, 1, 3, \feature1
	mcverify_choose \@, 2, 3, \feature2
	mcverify_choose \@, 3, 3, \feature3
.endm

#define ALTERNATIVE_TERNARY(old, feature, if_set, if_clear) \
	ALTERNATIVE_2 old, if_clear, X86_FEATURE_ALWAYS, if_set, feature

#define __ASM_STAC	stac
#define __ASM_CLAC	clac
#define ASM_STAC	ALTERNATIVE "", "stac", X86_FEATURE_SMAP
#define ASM_CLAC	ALTERNATIVE "", "clac", X86_FEATURE_SMAP

#define LOCK_PREFIX	lock

.macro JMP_NOSPEC register:req
	jmp *%\register
.endm
.macro CALL_NOSPEC register:req
	call *%\register
.endm

#endif
