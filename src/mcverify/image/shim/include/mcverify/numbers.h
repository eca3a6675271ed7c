/* Numbers: error codes, traps, CPU features, sizes. */
#ifndef MCVERIFY_NUMBERS_H
#define MCVERIFY_NUMBERS_H

#define __stringify_1(...)	#__VA_ARGS__
#define __stringify(...)	__stringify_1(__VA_ARGS__)
#define __AC(number, suffix)	number
#define _AC(number, suffix)	number
#define _UL(number)		number
#define _ULL(number)		number
#define UL(number)		number
#define BIT(n)			(1 << (n))

/* errno(3) */
#define EPERM		1
#define ENOENT		2
#define EIO		5
#define ENOMEM		12
#define EACCES		13
#define EFAULT		14
#define EBUSY		16
#define EINVAL		22
#define ENOSYS		38
#define EHWPOISON	133

/* Intel SDM vol. 3, table 6-1 */
#define X86_TRAP_DE	0
#define X86_TRAP_DB	1
#define X86_TRAP_NMI	2
#define X86_TRAP_BP	3
#define X86_TRAP_OF	4
#define X86_TRAP_BR	5
#define X86_TRAP_UD	6
#define X86_TRAP_NM	7
#define X86_TRAP_DF	8
#define X86_TRAP_TS	10
#define X86_TRAP_NP	11
#define X86_TRAP_SS	12
#define X86_TRAP_GP	13
#define X86_TRAP_PF	14
#define X86_TRAP_MF	16
#define X86_TRAP_AC	17
#define X86_TRAP_MC	18
#define X86_TRAP_XF	19
#define X86_TRAP_VE	20
#define X86_TRAP_CP	21

#define PAGE_SHIFT	12
#define PAGE_SIZE	(1 << PAGE_SHIFT)
#define PAGE_MASK	(~(PAGE_SIZE - 1))
#define THREAD_SIZE	(4 * PAGE_SIZE)
/* four-level paging: the last page below the hole is kept free */
#define TASK_SIZE_MAX	((1 << 47) - PAGE_SIZE)
#define L1_CACHE_BYTES	64
#define L1_CACHE_SHIFT	6

#endif
