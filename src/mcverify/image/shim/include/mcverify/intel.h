/*
 * Read before the user's first line, where a source is in Intel syntax without saying so: as in the
 * global_asm! of a Rust kernel.
 */
	.intel_syntax noprefix
