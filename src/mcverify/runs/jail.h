/* SPDX-License-Identifier: MIT */
/*
 * What is taken from a process before it runs a stranger's code: harness.c and silicon/step.c include this.
 *
 * The process keeps the memory that it has, the pipe to its parent, and the few system calls that its owner names
 * with the arguments that it allows; any other ends it (SIGSYS). It has no environment, no core dump, no file but
 * those that are open, and new name spaces where the host lets it have them.
 */
#ifndef MCVERIFY_JAIL_H
#define MCVERIFY_JAIL_H

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A system call, and what one of its arguments may be: (argument & mask) == value. Mask 0: whatever it likes. */
struct allowed { int number, argument; uint32_t mask, value; };

enum { JAIL_MOST = 16, JAIL_HEAD = 4, JAIL_EACH = 5 };

/* The words on the stack that say by whom, where and how the program was started: a routine could read them. */
static void jail_forget(char **argv, char **environment)
{
	char *name = (char *)getauxval(AT_EXECFN);

	for (char **words = environment; *words; words++)
		memset(*words, 0, strlen(*words));
	for (char **words = argv; *words; words++)
		memset(*words, 0, strlen(*words));
	if (name)
		memset(name, 0, strlen(name));
}

/* Bits of the name spaces that the host did not give: 1 user, 2 network, 4 mounts, 8 System V IPC, 16 processes. */
static unsigned int jail_unshare(void)
{
	static const int spaces[] = { CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWPID };
	unsigned int missing = 0;

	if (!unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWPID))
		return 0;
	for (unsigned int i = 0; i < sizeof(spaces) / sizeof(*spaces); i++)
		if (unshare(spaces[i]))
			missing |= 1u << i;
	return missing;
}

/* No core dump, no file that grows, so many seconds of CPU, so many bytes of addresses. */
static void jail_limit(uint64_t seconds, uint64_t addresses)
{
	const struct { int resource; uint64_t most; } limits[] = {
		{ RLIMIT_CORE, 0 }, { RLIMIT_FSIZE, 0 }, { RLIMIT_NOFILE, 0 }, { RLIMIT_NPROC, 0 },
		{ RLIMIT_MSGQUEUE, 0 }, { RLIMIT_MEMLOCK, 0 }, { RLIMIT_CPU, seconds }, { RLIMIT_AS, addresses },
	};

	for (unsigned int i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		struct rlimit limit;

		getrlimit(limits[i].resource, &limit);
		if (limit.rlim_max > limits[i].most)
			limit.rlim_max = limits[i].most;
		limit.rlim_cur = limit.rlim_max;
		setrlimit(limits[i].resource, &limit);
	}
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* From here on only these calls; false if this host has no filters: nothing may be run then. */
static bool jail_lock(const struct allowed *allowed, unsigned int n)
{
	struct sock_filter filter[JAIL_HEAD + JAIL_MOST * JAIL_EACH + 1] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	};
	struct sock_fprog program = { .filter = filter };
	unsigned int at = JAIL_HEAD;

	if (n > JAIL_MOST)
		return false;
	for (unsigned int i = 0; i < n; i++) {
		const struct allowed *one = &allowed[i];
		/* The lower half of an argument: those looked at are descriptors, masks and rights, of 32 bits. */
		unsigned int place = offsetof(struct seccomp_data, args) + 8 * one->argument;
		const struct sock_filter lines[JAIL_EACH] = {
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, one->number, 0, JAIL_EACH - 1),
			BPF_STMT(BPF_LD | BPF_W | BPF_ABS, place),
			BPF_STMT(BPF_ALU | BPF_AND | BPF_K, one->mask),
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, one->value, 0, 1),
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		};

		memcpy(filter + at, lines, sizeof(lines));
		at += JAIL_EACH;
		/* With the wrong argument the next lines compare that, not the number: end it here. */
		filter[at - 2].jf = n * JAIL_EACH + JAIL_HEAD - (at - 1);
	}
	filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	program.len = at;
	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

#endif
