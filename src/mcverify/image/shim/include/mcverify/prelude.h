/*
 * Read before the user's first line: what the kernel's build gives to every file
 * (there by -include linux/kconfig.h). No instruction, no assembler macro: the file may
 * go on to use real kernel headers.
 */
#ifndef MCVERIFY_PRELUDE_H
#define MCVERIFY_PRELUDE_H

/* IS_ENABLED(CONFIG_X) is 1 where CONFIG_X is defined as 1, else 0, also within .if */
#define MCVERIFY_SET_1			0, 1
#define MCVERIFY_SECOND(a, b, ...)	b
#define MCVERIFY_PICK(...)		MCVERIFY_SECOND(__VA_ARGS__)
#define MCVERIFY_IS_SET(value)		MCVERIFY_PICK(MCVERIFY_SET_##value, 0, 0)
#define IS_ENABLED(option)		MCVERIFY_IS_SET(option)
#define IS_BUILTIN(option)		MCVERIFY_IS_SET(option)
#define IS_REACHABLE(option)		MCVERIFY_IS_SET(option)
#define IS_MODULE(option)		0

#endif
