// SPDX-License-Identifier: MIT
/*
 * Executes single instructions on the CPU, each from a state of its own, and tells the state after it.
 *
 * mcverify.silicon.cpu compiles this file, starts it and writes to its stdin: the words `code page`, `window`
 * and `number of cases`, then the cases. A case is put into the registers by returning from a signal with
 * the trap flag set, so that the CPU stops after one instruction; or without it and with an int3 behind
 * the instruction, so that a REP runs as fast as it can. Whatever signal comes next ends the case, and its
 * handler puts the next one in place. Results go to stdout, of one size too.
 *
 * The window is two pages with no access before and behind them. The instructions are a stranger's, so the program has
 * nothing but its pipes once they come.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "../runs/jail.h"

typedef uint64_t u64;
typedef uint8_t u8;

#define PAGE 4096ull
#define WINDOW (2 * PAGE)
#define CHANGES 512
#define FLAG_TF 0x100ull
#define FLAGS 0x240cd5ull	/* those that a case may set: arithmetic, DF, AC, ID */
#define MOST_STEPS 100000
#define MOST_SECONDS 120
#define XSTATE_BV 512
#define XFEATURES 0x7ull	/* x87, SSE, AVX */

struct state {
	u64 gpr[16];
	u64 rip;
	u64 flags;
	u8 ymm[16][32];
};

struct test {
	struct state before;
	u8 code[16];
	u64 code_size;
	u64 stepped;		/* 1: by the trap flag, 0: up to an int3 */
	u64 poke_at, poke_size;
	u8 poke[32];
};

struct result {
	struct state after;
	u64 signal, code, address;
	u64 changes;		/* bytes of the window that differ from before; the first CHANGES follow */
	uint16_t at[CHANGES];
	u8 value[CHANGES];
};

static const int order[16] = {
	REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
	REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

static u8 *window, *code_page;
static u8 contents[WINDOW], before[WINDOW];
static u64 left, steps;
static unsigned ymm_high;
static struct test test;
static struct result result;
static int running;
static gregset_t home;

static void all(int write_it, void *data, size_t size)
{
	u8 *at = data;
	while (size) {
		ssize_t n = write_it ? write(1, at, size) : read(0, at, size);
		if (n <= 0) {
			if (n < 0 && errno == EINTR)
				continue;
			_exit(n ? 3 : 2);
		}
		at += n;
		size -= n;
	}
}

static void put(ucontext_t *uc)
{
	u8 *fp = (u8 *)uc->uc_mcontext.fpregs;

	memcpy(before, contents, WINDOW);
	if (test.poke_size)
		memcpy(before + (test.poke_at - (u64)window), test.poke, test.poke_size);
	memcpy(window, before, WINDOW);
	memset(code_page + test.before.rip % PAGE, 0xcc, 32);
	memcpy(code_page + test.before.rip % PAGE, test.code, test.code_size);
	for (int i = 0; i < 16; i++)
		uc->uc_mcontext.gregs[order[i]] = test.before.gpr[i];
	uc->uc_mcontext.gregs[REG_RIP] = test.before.rip;
	uc->uc_mcontext.gregs[REG_EFL] = (test.before.flags & FLAGS) | 2 | (test.stepped ? FLAG_TF : 0);
	for (int i = 0; i < 16; i++) {
		memcpy(fp + 160 + 16 * i, test.before.ymm[i], 16);
		memcpy(fp + ymm_high + 16 * i, test.before.ymm[i] + 16, 16);
	}
	*(u64 *)(fp + XSTATE_BV) |= XFEATURES;
	steps = 0;
}

static void take(ucontext_t *uc, int signal, siginfo_t *info)
{
	u8 *fp = (u8 *)uc->uc_mcontext.fpregs;
	u64 valid = *(u64 *)(fp + XSTATE_BV);

	memset(&result, 0, sizeof(result));
	for (int i = 0; i < 16; i++)
		result.after.gpr[i] = uc->uc_mcontext.gregs[order[i]];
	result.after.rip = uc->uc_mcontext.gregs[REG_RIP];
	result.after.flags = uc->uc_mcontext.gregs[REG_EFL];
	for (int i = 0; i < 16; i++) {
		if (valid & 2)
			memcpy(result.after.ymm[i], fp + 160 + 16 * i, 16);
		if (valid & 4)
			memcpy(result.after.ymm[i] + 16, fp + ymm_high + 16 * i, 16);
	}
	result.signal = signal;
	result.code = info->si_code;
	result.address = (u64)info->si_addr;
	for (unsigned i = 0; i < WINDOW; i++) {
		if (window[i] == before[i])
			continue;
		if (result.changes < CHANGES) {
			result.at[result.changes] = i;
			result.value[result.changes] = window[i];
		}
		result.changes++;
	}
}

static void confine(void);

static void on_signal(int signal, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	if (!running) {
		if (signal != SIGUSR1)
			_exit(4);
		memcpy(home, uc->uc_mcontext.gregs, sizeof(home));
		running = 1;
		confine();
	} else {
		u64 rip = uc->uc_mcontext.gregs[REG_RIP];
		/* One iteration of a REP was done, and another follows. */
		if (signal == SIGTRAP && test.stepped && rip == test.before.rip && ++steps < MOST_STEPS)
			return;
		take(uc, signal, info);
		all(1, &result, sizeof(result));
		left--;
	}
	if (!left) {
		memcpy(uc->uc_mcontext.gregs, home, sizeof(home));
		running = 0;
		return;
	}
	all(0, &test, sizeof(test));
	put(uc);
}

static u8 *map_at(u64 address, u64 size, int protection)
{
	void *made = mmap((void *)address, size, protection,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (made != (void *)address)
		_exit(5);
	return made;
}

static void confine(void)
{
	static const struct allowed allowed[] = {
		{ SYS_rt_sigreturn, 0, 0, 0 },
		{ SYS_exit_group, 0, 0, 0 },
		{ SYS_write, 0, ~0u, 1 },
		{ SYS_read, 0, ~0u, 0 },
	};

	jail_limit(MOST_SECONDS, 1ull << 30);
	if (!jail_lock(allowed, sizeof(allowed) / sizeof(*allowed)))
		_exit(7);
}

int main(int argc, char **argv, char **environment)
{
	static const int signals[] = { SIGUSR1, SIGTRAP, SIGSEGV, SIGBUS, SIGILL, SIGFPE };
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	stack_t stack = { .ss_size = 1 << 17 };
	unsigned a, b, c, d;
	u64 head[3];

	(void)argc;
	jail_forget(argv, environment);
	jail_unshare();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!__get_cpuid_count(0xd, 2, &a, &b, &c, &d) || !b)
		_exit(6);
	ymm_high = b;
	all(0, head, sizeof(head));
	code_page = map_at(head[0], PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
	map_at(head[1] - PAGE, WINDOW + 2 * PAGE, PROT_NONE);
	window = (u8 *)head[1];
	if (mprotect(window, WINDOW, PROT_READ | PROT_WRITE))
		_exit(5);
	left = head[2];
	for (unsigned i = 0; i < WINDOW; i++)
		contents[i] = i * 0x9e3779b1u >> 11 ^ i >> 3;
	stack.ss_sp = malloc(stack.ss_size);
	sigaltstack(&stack, NULL);
	sigfillset(&action.sa_mask);
	for (unsigned i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		sigaction(signals[i], &action, NULL);
	if (!left)
		return 0;
	raise(SIGUSR1);
	_exit(0);
}
