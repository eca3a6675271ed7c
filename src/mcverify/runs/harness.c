// SPDX-License-Identifier: MIT
/*
 * Runs a routine on the CPU, case by case, with real faults.
 *
 * mcverify.runs.cpu compiles this file, starts it as a child process and writes a job to
 * its stdin: an array of 64-bit words, the sections of the image, the exception table, the
 * contract, and the cases (mcverify.runs.wire writes what job_read() reads). Results go to stdout as 64-bit words
 * too, those of a grid to the memory shared with the parent (file descriptor argv[1]), which also holds the
 * number of the case under way: if the routine brings the process down, the parent knows which one it was.
 *
 * A fault is a SIGSEGV. Its handler does what the kernel's does: it looks for the faulting instruction in
 * the table, applies the entry's handler and continues at the fixup.
 */
#define _GNU_SOURCE
#include <emmintrin.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#include "jail.h"

typedef uint64_t u64;
typedef int64_t s64;
typedef uint8_t u8;

#define PAGE 4096ull
#define RED 64			/* bytes watched before and behind dst */
#define LEAD 128		/* contents are known from this many bytes before a buffer */
#define PERIOD (509 * PAGE)	/* contents of long buffers repeat; no power of two */
#define SMALL (1024 * 1024)	/* longer cases get mappings of their own */
#define ARENAS 16
#define MAX_FAULTS 16384	/* of one case, whose buffers have a bad page each; more are an endless loop */
#define MAX_SLOTS 32
#define MAX_RUNS (SMALL / 2 + 4 * PAGE)	/* every second byte of a short dst and of what lies around it */
#define MAX_LONG_RUNS 4096	/* of a long dst; wire.py has it too */
#define MAX_KEYS 256
#define KEPT 8
#define STACK_GUARD (16 * PAGE)	/* bytes below the stack in which an access shows that it has run out */
#define MAX_TIMEOUTS 8
#define TICK_USEC 10000
#define NONE (~0ull)
#define RETURN 0x700000000000ull
#define HLT 0xf4

#define FLAG_TF 0x100ull
#define FLAG_DF 0x400ull
#define FLAG_AC 0x40000ull
#define FLAGS_ARITHMETIC 0x8d5ull

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, RFLAGS, NREGS };
enum { VECTORS = 16, LANES = 4 };	/* ymm0 to ymm15, of as many words */
enum mode { RUN, SAMPLE, TRACE, GRID, JUDGE };
enum place { FREE, HOLE, INSIDE, END, FRONT };
enum ending { RETURNED, OOPS, WILD, ILLEGAL, TIMEOUT, ESCAPED, DIED, REFUSED, OVERFLOW, TRAPPED };
enum effect { SET_TRAP, SET_IMM, ADD_IMM, SCALE_ADD, UNMODELLED, SET_ADDRESS };
enum told { LEFT, DONE, ADDRESS };	/* how a register tells the bytes left: mcverify.contract.Told */
enum special_kind { WEAK = 1, FENCE = 2, ALIGNED = 4 };	/* a store that only a fence orders; that; an operand that must be aligned */
enum data { COPY, ZERO };	/* a value is copied from a register */
enum failure { BAD_JOB = 2, NO_MEMORY, OWN_FAULT, NO_MAPPING, NO_RIGHTS, NO_FILTER };

/*
 * Written before the first case, so that the parent knows an own failure from an exit code of the routine's: what has
 * gone into a pipe cannot be taken back.
 */
#define READY 0x79646165726d2121ull

static const int greg_of[NREGS] = {
	REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
	REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_EFL,
};

/* ---- The job ---------------------------------------------------------------------------------- */

struct range { u64 start, end; };
struct operation { u64 effect, target, operand, imm; };
struct entry { u64 insn, fixup, is_fatal, n; struct operation operations[4]; };
struct external { u64 address, is_return; };
struct special { u64 address, kinds; };	/* a mask of special_kind */
struct softint { u64 address, ac; };	/* stac or clac, replaced by int3 or by a NOP */

struct contract_ {
	u64 dst, src, len, left, status, trap;	/* registers; NONE where there is none */
	u64 left_mask, status_mask, trap_mask;	/* what of them is looked at */
	u64 data, over_report, over_report_on_mc, inverted, is_bool;
	u64 kept;				/* mask of registers */
	u64 obligations, on_machine_check;	/* masks, bit n for On */
	u64 stored_value, loaded_value;		/* registers; NONE where there is none */
	u64 size;				/* of the value that is loaded or stored */
	u64 success_unasked, has_error, error, error_mask;
	u64 unstruck;				/* faults of accesses without an entry are no failure: 1 loads, 2 stores */
	u64 unit;				/* of a fill: bytes of stored_value that repeat; else 0 */
	u64 told;				/* of enum told */
	u64 string_length, length_mask, counts_nul;	/* register that returns the length of the string in src; NONE */
	u64 zeroes_rest;			/* they must be */
	u64 rest_zeroed, zero_rest;		/* bytes left may be zeroed, if the register (NONE: always) says so */
	u64 n_given, given[16], value[16];
};

/* `traps`: bit n is set where the n-th fault on a load is a machine check; bit 63 is for all from the 63rd on. */
struct test {
	u64 len, src_place, src_at, dst_place, dst_at, traps, seed;
	u64 preset;			/* its number, 0 where there is none */
	u64 flicker;			/* 0: bad pages stay bad; else touch_faults() */
};

/* What stands at entry in place of what the seed chooses. */
struct piece { s64 offset; u64 size; const u8 *bytes; };

struct preset {
	u64 mask;			/* of registers; ymm0 follows RFLAGS */
	u64 registers[NREGS], vectors[VECTORS][LANES];
	u64 has_every, every;		/* what stands in each word of src */
	u64 n_pieces;
	struct piece *pieces;
};

struct job_ {
	u64 mode, entry;
	u64 n_code;
	struct range *code;
	u64 n_externals;
	struct external *externals;
	u64 n_softints;
	struct softint *softints;
	u64 nested, nested_load, nested_store;	/* of a stand-in that calls the routine: image/callees.py */
	u64 n_specials;
	struct special *specials;
	u64 stepped;			/* cases that are judged are single-stepped */
	u64 x87_is_free;		/* the routine uses no x87 and no MMX register */
	u64 n_presets;
	struct preset *presets;
	u64 per_case;			/* visits kept of one case at one address; steps, at either end of it */
	u64 n_watched;
	u64 first;			/* cases before this one are done */
	u64 n_tests;
	u64 longest;
};

/* A hash of addresses to small numbers. */
struct slot { u64 address, index; };
struct map { u64 mask; struct slot *slots; };

/*
 * What a run is judged by. It is read before the first case, and cannot be written after that: the routine finds
 * pages here that may only be read, and so it is with all that `allocate_sealed` gives.
 */
static struct __attribute__((aligned(PAGE))) {
	struct job_ job;
	struct contract_ contract;
	struct entry *entries;
	struct map entry_map, watch_map, external_map, softint_map, special_map;
} sealed;

#define job sealed.job
#define contract sealed.contract
#define entries sealed.entries
#define entry_map sealed.entry_map
#define watch_map sealed.watch_map
#define external_map sealed.external_map
#define softint_map sealed.softint_map
#define special_map sealed.special_map

/* One kind of failure: obligation, last faulting instruction, ending, and where it ended if refused. */
struct key {
	u64 obligation, insn, ending, at, count, n;
	struct test kept[KEPT];
};

static struct {
	u64 serial, finished, aborted, n_keys;
	u64 failed;			/* cases that break an obligation */
	u64 unkept;			/* violations for which there was no key left */
	u64 escaped, escaped_to;	/* cases that show nothing, and where the first of them went */
	u64 ordered;			/* single-stepped cases with a store that only a fence orders */
	struct key keys[MAX_KEYS];
} *shared;

static u64 *cursor, *cursor_end;

static void die(enum failure how)
{
	_exit(how);
}

static u64 take(void)
{
	if (cursor >= cursor_end)
		die(BAD_JOB);
	return *cursor++;
}

static void take_words(void *to, u64 n)
{
	for (u64 *word = to; n; n--)
		*word++ = take();
}

static void *allocate(u64 n, u64 size)
{
	void *memory = calloc(n ? n : 1, size);

	if (!memory)
		die(NO_MEMORY);
	return memory;
}

struct chunk { struct chunk *next; u64 bytes; };

static struct chunk *chunks;

/* Memory that seal() closes. */
static void *allocate_sealed(u64 n, u64 size)
{
	u64 bytes = (sizeof(struct chunk) + n * size + PAGE - 1) & -PAGE;
	struct chunk *chunk = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if ((size && n > (1ull << 40) / size) || chunk == MAP_FAILED)
		die(NO_MEMORY);
	*chunk = (struct chunk){ chunks, bytes };
	chunks = chunk;
	return chunk + 1;
}

static void seal(void)
{
	for (struct chunk *chunk = chunks, *next; chunk; chunk = next) {
		next = chunk->next;
		if (mprotect(chunk, chunk->bytes, PROT_READ))
			die(NO_MEMORY);
	}
	if (mprotect(&sealed, sizeof(sealed), PROT_READ))
		die(NO_MEMORY);
}

/* ---- Output ----------------------------------------------------------------------------------- */

static u8 out[2 << 20];
static u64 out_n;

static void flush(void)
{
	for (u64 done = 0; done < out_n;) {
		ssize_t n = write(1, out + done, out_n - done);

		if (n <= 0)
			die(OWN_FAULT);
		done += n;
	}
	out_n = 0;
}

/* Padded to whole words. */
static void put_bytes(const void *bytes, u64 n)
{
	const u8 *from = bytes;

	for (u64 left = n; left;) {
		u64 room = sizeof(out) - out_n, piece = left < room ? left : room;

		memcpy(out + out_n, from, piece);
		out_n += piece;
		from += piece;
		left -= piece;
		if (out_n == sizeof(out))
			flush();
	}
	for (; n % 8; n++)
		out[out_n++] = 0;
}

static void put(u64 word)
{
	put_bytes(&word, sizeof(word));
}

/* ---- A hash of addresses to small numbers ----------------------------------------------------- */

static struct slot *map_slot(const struct map *map, u64 address)
{
	u64 i = (address * 0x9e3779b97f4a7c15ull) >> 32;

	for (;; i++) {
		struct slot *slot = &map->slots[i & map->mask];

		if (slot->address == address || slot->address == NONE)
			return slot;
	}
}

static void map_new(struct map *map, u64 n)
{
	u64 size = 16;

	while (size < 2 * n + 2)
		size *= 2;
	map->mask = size - 1;
	map->slots = allocate_sealed(size, sizeof(struct slot));
	for (u64 i = 0; i < size; i++)
		map->slots[i].address = NONE;
}

/* The first of two entries for one instruction counts. */
static void map_add(struct map *map, u64 address, u64 index)
{
	struct slot *slot = map_slot(map, address);

	if (slot->address == NONE)
		*slot = (struct slot){ address, index };
}

static u64 map_find(const struct map *map, u64 address)
{
	const struct slot *slot = map_slot(map, address);

	return slot->address == NONE ? NONE : slot->index;
}

/* ---- Contents and registers that follow from the seed; runs/pattern.py computes the same -------- */

static u64 mix(u64 x)	/* the output function of splitmix64 */
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static u64 random_word(u64 seed, u64 stream, u64 index)
{
	return mix(mix(seed * 0x9e3779b97f4a7c15ull + stream) + index * 0x9e3779b97f4a7c15ull);
}

enum { STREAM_CONTENTS, STREAM_REGISTERS, STREAM_VECTORS };

static const struct preset *preset_of(const struct test *test)
{
	return test->preset ? &job.presets[test->preset - 1] : NULL;
}

/* Indexed by offset + LEAD, modulo PERIOD: what src holds, what dst is to hold, what it holds at first. */
static u8 *contents, *wanted, *fresh, *fresh_of[2];
static u64 value_stored;	/* what is stored by a routine that stores a value */
static u64 known_seed = NONE, known_preset, known_bytes;
static u64 known_other_bytes;
static bool other_fresh;	/* what dst holds at first is another byte at each offset: fresh_of[1] */

/*
 * The 128 seeds from here on are values: they stand in each word of the contents, and buffers of the place FREE lie
 * as many bytes behind a multiple of 4 GiB as their placement says.
 */
#define VALUE (1ull << 40)
#define IS_VALUE(seed) (((seed) & ~0x7full) == VALUE)

static bool moves_a_value(void)
{
	return contract.size && contract.size <= 8;
}

/*
 * One bit tells the bytes of src from those that dst holds at first, another one for each seed: a byte that was
 * copied, even from the wrong place, is seen as written. No byte of src is 0 or 255, so none of dst is zero, and one
 * that was cleared is seen too.
 */
static u64 telling_bit(u64 seed, u64 *value)
{
	u64 number = IS_VALUE(seed) ? 0 : (seed - 1) % 16;

	*value = number / 8;
	return 7 - number % 8;
}

/* A single value is bytes from 1 to 255, since a sign may be extended. */
static void contents_random(u64 seed, u64 bytes)
{
	u64 value, bit = telling_bit(seed, &value);
	u8 set = moves_a_value() ? 0 : value << bit, clear = moves_a_value() ? 0 : (1 - value) << bit;
	u8 other = (0x55 >> bit & 1) == value || moves_a_value() ? 0x55 : 0xaa;

	for (u64 i = 0; i < bytes; i += 8) {
		u64 word = random_word(seed, STREAM_CONTENTS, i / 8);

		memcpy(contents + i, &word, 8);
	}
	for (u64 i = 0; i < bytes; i++) {
		u8 byte = (contents[i] | set) & ~clear;

		contents[i] = !byte || (byte == 255 && !moves_a_value()) ? other : byte;
	}
}

static void contents_preset(const struct preset *preset, u64 bytes)
{
	for (u64 i = 0; preset->has_every && i < bytes; i++)
		contents[i] = preset->every >> 8 * (i % 8);
	for (u64 n = 0; n < preset->n_pieces; n++) {
		const struct piece *piece = &preset->pieces[n];

		for (u64 i = 0; i < piece->size; i++)
			if ((u64)(piece->offset + LEAD) + i < bytes)
				contents[piece->offset + LEAD + i] = piece->bytes[i];
	}
}

static void other_fresh_know(u64 seed, u64 bytes)
{
	u64 value, bit = telling_bit(seed, &value);
	u8 flips[3] = { 1 << (bit + 3) % 8, 1 << (bit + 5) % 8, 1 << (bit + 6) % 8 };

	for (u64 i = 0; i < bytes; i++) {
		u8 byte = 0;

		/* Neither zero nor what is to stand there: where a byte is right it has been stored. */
		for (int n = 0; !byte || byte == wanted[i]; n++)
			byte = fresh_of[0][i] ^ flips[n];
		fresh_of[1][i] = byte;
	}
	known_other_bytes = bytes;
}

static void contents_know(const struct test *test, u64 bytes)
{
	u64 seed = test->seed;

	if (IS_VALUE(seed))
		for (u64 i = 0; i < bytes; i++)
			contents[i] = i % 8 ? 0 : seed & 0x7f;
	else
		contents_random(seed, bytes);
	if (test->preset)
		contents_preset(preset_of(test), bytes);
	memcpy(&value_stored, contents + LEAD, sizeof(value_stored));
	if (contract.unit)
		for (u64 i = 0; i < bytes; i++)
			contents[i] = value_stored >> 8 * (i % contract.unit);
	if (contract.data != ZERO)
		for (u64 i = 0; i < bytes; i++)
			fresh_of[0][i] = contents[i] == 255 ? 0x7f : ~contents[i];
	known_seed = seed;
	known_preset = test->preset;
	known_bytes = bytes;
	known_other_bytes = 0;
}

static void know_contents(const struct test *test, u64 bytes)
{
	if (test->seed != known_seed || test->preset != known_preset || bytes > known_bytes)
		contents_know(test, bytes);
	if (other_fresh && bytes > known_other_bytes)
		other_fresh_know(test->seed, bytes);
	fresh = fresh_of[other_fresh];
}

static void contents_new(void)
{
	contents = allocate(1, PERIOD);
	fresh_of[1] = allocate(1, PERIOD);
	if (contract.data != ZERO) {
		wanted = contents;
		fresh_of[0] = allocate(1, PERIOD);
	} else {
		wanted = allocate(1, PERIOD);
		fresh_of[0] = contents;
	}
}

void enter_routine(void);
void landing(void);
void abandoned(void);

/* ---- Memory ----------------------------------------------------------------------------------- */

/* Readable from start to hole and from back to end; a page between, and one on either side, is not. */
struct region { u8 *start, *hole, *back, *end; };

struct span { s64 from, to; };	/* offsets from the start of a buffer */

struct buffer {
	u8 *at;
	struct span spans[2];	/* what of [-RED, len + RED) can be accessed */
	struct region region;
	bool flickers;		/* its bad page comes and goes, and counts as accessible */
};

static struct region src_arenas[ARENAS], dst_arenas[ARENAS];
static struct region src_valued, dst_valued;	/* of seeds that are values */
static u64 n_arenas;
static u64 arena_bytes;
static u64 stack_low;		/* where the stack ends */
#define STACK 0x710000000000ull	/* as in runs/pattern.py */

static u8 *stack_top;		/* the highest place of the return address */
static u8 *stack_entry;		/* where it lies: another place for each seed */
static u64 return_address;
static u64 address_state = 1;

static u64 round_up(u64 bytes)
{
	return (bytes + PAGE - 1) & ~(PAGE - 1);
}

/* Addresses are the same in every run, far apart, and above 4 GiB. */
static u8 *reserve(u64 bytes)
{
	for (int attempt = 0; attempt < 64; attempt++) {
		u64 hint = 0x100000000000ull + (mix(address_state++) & 0x3ffffffff000ull);
		void *memory = mmap((void *)hint, bytes, PROT_NONE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

		if (memory == (void *)hint)
			return memory;
		if (memory != MAP_FAILED)
			munmap(memory, bytes);
	}
	return NULL;
}

static bool region_lay_out(struct region *region, u8 *memory, u64 front, u64 behind)
{
	if (!memory)
		return false;
	region->start = memory + PAGE;
	region->hole = region->start + front;
	region->back = region->hole + PAGE;
	region->end = region->back + behind;
	return true;
}

static bool region_reserve(struct region *region, u64 front, u64 behind)
{
	return region_lay_out(region, reserve(front + behind + 3 * PAGE), front, behind);
}

static void region_open(struct region *region, u64 bytes)
{
	if (mprotect(region->start, bytes, PROT_READ | PROT_WRITE) ||
	    mprotect(region->back, bytes, PROT_READ | PROT_WRITE))
		die(NO_MEMORY);
}

static void region_new(struct region *region, u64 bytes)
{
	if (!region_reserve(region, bytes, bytes))
		die(NO_MEMORY);
	region_open(region, bytes);
}

/* One whose second page begins at `address`; if that is taken, any. */
static void region_new_at(struct region *region, u64 address, u64 bytes)
{
	void *hint = (void *)(address - 2 * PAGE);
	void *memory = mmap(hint, 2 * bytes + 3 * PAGE, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	if (memory != MAP_FAILED && memory != hint)
		munmap(memory, 2 * bytes + 3 * PAGE);
	if (memory != hint)
		region_new(region, bytes);
	else if (region_lay_out(region, memory, bytes, bytes))
		region_open(region, bytes);
}

static void arenas_new(void)
{
	n_arenas = job.mode == GRID ? 1 : ARENAS;
	arena_bytes = round_up(job.longest) + 4 * PAGE;
	for (u64 i = 0; i < n_arenas; i++) {
		region_new(&src_arenas[i], arena_bytes);
		region_new(&dst_arenas[i], arena_bytes);
	}
	if (job.mode == GRID)
		return;
	region_new_at(&src_valued, 0x610000000000ull, arena_bytes);
	region_new_at(&dst_valued, 0x620000000000ull, arena_bytes);
}

static void stack_new(void)
{
	u64 bytes = 16 * PAGE;
	u8 *hint = (u8 *)(STACK - STACK_GUARD);
	u8 *memory = mmap(hint, STACK_GUARD + bytes + PAGE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	if (memory != hint) {
		if (memory != MAP_FAILED)
			munmap(memory, STACK_GUARD + bytes + PAGE);
		memory = reserve(STACK_GUARD + bytes + PAGE);
	}
	if (!memory || mprotect(memory + STACK_GUARD, bytes, PROT_READ | PROT_WRITE))
		die(NO_MEMORY);
	stack_low = (u64)memory + STACK_GUARD;
	stack_top = stack_entry = memory + STACK_GUARD + bytes - PAGE - 8;
}

static u8 *page_at(u64 address)
{
	void *memory = mmap((void *)address, PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	if ((u64)memory == address)
		return memset(memory, HLT, PAGE);
	munmap(memory, PAGE);
	return NULL;
}

/*
 * The return address is that of a jump to landing: so it is the same in every run, and in runs/emulator.py,
 * wherever this program lies. All other bytes of its page are hlt, which a user may not execute, those of the jump's
 * distance too: a return to an address beside it ends there, not in code that differs from run to run.
 */
static void return_new(void)
{
	static const u8 near_jump[5] = { 0xe9, HLT, HLT, HLT, HLT };
	static const u8 far_jump[6] = { 0xff, 0x25 };	/* to the address behind it */
	u64 target = (u64)landing;
	int distance;

	memcpy(&distance, near_jump + 1, sizeof(distance));
	for (u64 at = RETURN; at < RETURN + (16ull << 32); at += 1ull << 32) {
		u64 between = at + sizeof(near_jump) + distance;
		u8 *page = page_at(at), *other = page_at(between & -PAGE);

		if (page && other) {
			memcpy(page, near_jump, sizeof(near_jump));
			memcpy((u8 *)between, far_jump, sizeof(far_jump));
			memcpy((u8 *)between + sizeof(far_jump), &target, sizeof(target));
			if (mprotect(page, PAGE, PROT_READ | PROT_EXEC) || mprotect(other, PAGE, PROT_READ | PROT_EXEC))
				die(NO_RIGHTS);
			return_address = at;
			return;
		}
	}
	die(NO_MEMORY);
}

static u8 *place(const struct region *region, u64 where, u64 at, u64 len)
{
	switch (where) {
	case HOLE:
		return region->hole - at;
	case INSIDE:
		return region->hole + at;
	case END:
		return region->hole - len;
	case FRONT:
		return region->back;
	}
	return region->start + PAGE + at % PAGE;
}

static struct span overlap(s64 from, s64 to, const u8 *buffer, const u8 *start, const u8 *end)
{
	if (from < start - buffer)
		from = start - buffer;
	if (to > end - buffer)
		to = end - buffer;
	return (struct span){ from, to > from ? to : from };
}

static void buffer_set(struct buffer *buffer, const struct region *region, u8 *at, u64 len)
{
	s64 from = -RED, to = (s64)len + RED;

	buffer->region = *region;
	buffer->at = at;
	buffer->flickers = false;
	buffer->spans[0] = overlap(from, to, at, region->start, region->hole);
	buffer->spans[1] = overlap(from, to, at, region->back, region->end);
}

/* How many bytes from offset `from` lie in one period of the contents, at most up to `to`. */
static u64 piece(s64 from, s64 to, u64 *index)
{
	*index = (u64)(from + LEAD) % PERIOD;
	return (u64)(to - from) < PERIOD - *index ? (u64)(to - from) : PERIOD - *index;
}

static void fill(const struct buffer *buffer, const u8 *pattern)
{
	for (int i = 0; i < 2; i++) {
		const struct span *span = &buffer->spans[i];

		if (span->to > span->from)
			memcpy(buffer->at + span->from, pattern + span->from + LEAD, span->to - span->from);
	}
}

/* ---- Buffers too long for an arena: one file of contents, mapped again and again -------------- */

static bool map_periodic(u8 *from, u8 *to, const u8 *start, int file, int sharing)
{
	while (from < to) {
		u64 offset = (u64)(from - start) % PERIOD;
		u64 bytes = PERIOD - offset;

		if (bytes > (u64)(to - from))
			bytes = to - from;
		if (mmap(from, bytes, PROT_READ | PROT_WRITE, sharing | MAP_FIXED | MAP_NORESERVE, file, offset) ==
		    MAP_FAILED)
			return false;
		from += bytes;
	}
	return true;
}

/*
 * Files of one period each, for a long src and a long dst, made before the routine is there: no new one is allowed
 * after that. `at` is where this program writes them.
 */
struct pattern { int file; u8 *at; };

static struct pattern src_pattern, dst_pattern;

static void pattern_new(struct pattern *pattern)
{
	pattern->file = memfd_create("mcverify", 0);
	if (pattern->file < 0 || ftruncate(pattern->file, PERIOD))
		die(NO_MEMORY);
	pattern->at = mmap(NULL, PERIOD, PROT_READ | PROT_WRITE, MAP_SHARED, pattern->file, 0);
	if (pattern->at == MAP_FAILED)
		die(NO_MEMORY);
}

/* The byte of offset -LEAD of the buffer is the first of `bytes`. */
static void pattern_set(const struct pattern *pattern, const u8 *bytes, const struct region *region, const u8 *at)
{
	u64 lead = ((u64)(at - region->start) + PERIOD - LEAD % PERIOD) % PERIOD;

	memcpy(pattern->at + lead, bytes, PERIOD - lead);
	memcpy(pattern->at, bytes + PERIOD - lead, lead);
}

static bool long_buffer(struct buffer *buffer, u64 where, u64 at, u64 len, const u8 *bytes,
			const struct pattern *pattern, int sharing)
{
	u64 front = round_up((where == HOLE && at > len ? at : len) + 4 * PAGE);
	struct region region;

	if (!region_reserve(&region, front, round_up(len) + PAGE))
		return false;
	buffer_set(buffer, &region, place(&region, where, at, len), len);
	pattern_set(pattern, bytes, &region, buffer->at);
	return map_periodic(region.start, region.hole, region.start, pattern->file, sharing) &&
	       map_periodic(region.back, region.end, region.start, pattern->file, sharing);
}

static void long_buffer_free(const struct buffer *buffer)
{
	const struct region *region = &buffer->region;

	if (region->start)
		munmap(region->start - PAGE, region->end - region->start + 2 * PAGE);
}

/* ---- One run ---------------------------------------------------------------------------------- */

struct fault { u64 insn, buffer, offset, is_store, trap; };

static struct {
	struct test test;
	struct buffer src, dst;
	u64 initial[NREGS], final[NREGS];
	enum ending ending;
	u64 rip;
	u64 n_faults, n_loads;	/* faults, those on loads among them */
	u64 unzeroed;		/* offset of a byte left that is not zeroed; NONE */
	u64 fault_address;	/* of the byte that faulted last */
	bool was_nested;		/* the last fault was */
	struct fault faults[MAX_FAULTS];
	u64 ac;
	bool stepped;
	u64 steps, max_steps, told;	/* told: steps of a trace */
	u64 weak_next, weak;		/* stores that only a fence orders: the one under way, the last without a fence */
	bool any_weak;
	s64 top;
} run;

static u64 n_timeouts;
static volatile bool running;
static volatile u64 ticks, max_ticks;

/* What the assembly below reads and writes: not static, lest the compiler thinks it sees every store. */
u64 load[NREGS];
u64 store[NREGS];
u64 host_rsp;
u64 load_vectors[VECTORS][LANES];
u8 has_avx;
const unsigned int default_mxcsr = 0x1f80;

#define EACH_BUT_RSP(op) \
	op(rax, 0) op(rcx, 1) op(rdx, 2) op(rbx, 3) op(rbp, 5) op(rsi, 6) op(rdi, 7) op(r8, 8) \
	op(r9, 9) op(r10, 10) op(r11, 11) op(r12, 12) op(r13, 13) op(r14, 14) op(r15, 15)
#define LOAD(reg, i) "mov load+8*" #i "(%rip), %" #reg "\n"
#define STORE(reg, i) "mov %" #reg ", store+8*" #i "(%rip)\n"
#define EACH_VECTOR(op) \
	op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15)
#define LOAD_XMM(i) "movups load_vectors+32*" #i "(%rip), %xmm" #i "\n"
#define LOAD_YMM(i) "vmovups load_vectors+32*" #i "(%rip), %ymm" #i "\n"

/*
 * rsp points at the flags, with the routine's address and the return address above: the first
 * instruction to be trapped after TF is set is the routine's own first one.
 */
asm(".text\n"
    ".globl enter_routine, landing, abandoned\n"
    "enter_routine:\n"
    "push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
    "mov %rsp, host_rsp(%rip)\n"
    "ldmxcsr default_mxcsr(%rip)\n"
    "cmpb $0, has_avx(%rip)\n je 2f\n"
    EACH_VECTOR(LOAD_YMM)
    "jmp 3f\n"
    "2:\n"
    EACH_VECTOR(LOAD_XMM)
    "3:\n"
    EACH_BUT_RSP(LOAD)
    LOAD(rsp, 4)
    "popfq\n"
    "ret\n"
    "landing:\n"
    EACH_BUT_RSP(STORE)
    STORE(rsp, 4)
    "mov host_rsp(%rip), %rsp\n"
    "pushfq\n"
    "pop store+8*16(%rip)\n"
    "push $0x202\n"
    "popfq\n"
    "jmp 1f\n"
    "abandoned:\n"
    "mov host_rsp(%rip), %rsp\n"
    "1:\n"
    "cmpb $0, has_avx(%rip)\n je 4f\n"
    "vzeroupper\n"
    "4:\n"
    "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n"
    "ret\n");

static bool in_code(u64 address)
{
	for (u64 i = 0; i < job.n_code; i++)
		if (address >= job.code[i].start && address < job.code[i].end)
			return true;
	return false;
}

static bool is_return(u64 rip)
{
	const u8 *code = (const u8 *)rip;

	if (*code == 0xf3 || *code == 0xf2)
		code++;
	return *code == 0xc3 || *code == 0xc2;
}

static void registers_of(const greg_t *g, u64 *registers)
{
	for (int i = 0; i < NREGS; i++)
		registers[i] = g[greg_of[i]];
	registers[RFLAGS] = (registers[RFLAGS] & ~FLAG_TF) | (run.ac ? FLAG_AC : 0);
}

static void finish(greg_t *g, enum ending ending, u64 rip)
{
	registers_of(g, run.final);
	run.ending = ending;
	run.rip = rip;
	running = false;
	g[REG_RIP] = (greg_t)(uintptr_t)abandoned;
	g[REG_EFL] &= ~(greg_t)(FLAG_TF | FLAG_DF | FLAG_AC);
}

/* ---- Visits ----------------------------------------------------------------------------------- */

struct visit {
	u64 address, faulted, test, top, n_slots;
	u64 registers[NREGS];
	u64 slots[MAX_SLOTS];
};

/* The first visits of a case at an address, then a ring of the last ones. */
struct visits { u64 seen; struct visit *kept; };

static struct visits *visits;	/* two for each watched address: before and after the first fault */

static s64 stored_up_to(void)
{
	for (int i = 1; i >= 0; i--) {
		s64 from = run.dst.spans[i].from, to = run.dst.spans[i].to;

		if (from < run.top)
			from = run.top;
		for (s64 at = to; at > from; at--)
			if (run.dst.at[at - 1] != fresh[at - 1 + LEAD])
				return at;
	}
	return run.top;
}

static void visit_set(struct visit *visit, const greg_t *g, u64 address)
{
	u64 rsp = g[REG_RSP];
	u64 depth = (u64)stack_entry - rsp;

	visit->address = address;
	visit->faulted = run.n_faults != 0;
	visit->test = shared->serial;
	run.top = stored_up_to();
	visit->top = run.top;
	registers_of(g, visit->registers);
	visit->n_slots = depth % 8 == 0 && depth <= 8 * MAX_SLOTS ? depth / 8 : 0;
	memcpy(visit->slots, (void *)rsp, 8 * visit->n_slots);
}

static void visit_keep(const greg_t *g, u64 address, u64 watched)
{
	struct visits *list = &visits[2 * watched + (run.n_faults != 0)];
	u64 half = job.per_case / 2;
	u64 index = list->seen++;

	if (index >= job.per_case)
		index = half + (index - half) % (job.per_case - half);
	visit_set(&list->kept[index], g, address);
}

static void visits_put(void)
{
	for (u64 i = 0; i < 2 * job.n_watched; i++) {
		struct visits *list = &visits[i];
		u64 n = list->seen < job.per_case ? list->seen : job.per_case;

		for (u64 j = 0; j < n; j++) {
			const struct visit *visit = &list->kept[j];

			put_bytes(visit, sizeof(*visit) - sizeof(visit->slots) + 8 * visit->n_slots);
		}
		list->seen = 0;
	}
}

struct step { u64 number, address, registers[NREGS]; };

static struct step *latest;	/* a ring of job.per_case steps */

/* A trace has the first `per_case` steps of a case and as many of the last ones; NONE keeps them all. */
static void trace_step(const greg_t *g, u64 address)
{
	struct step step = { .number = run.told++, .address = address };

	registers_of(g, step.registers);
	if (step.number < job.per_case)
		put_bytes(&step, sizeof(step));
	else
		latest[step.number % job.per_case] = step;
}

static void trace_end(void)
{
	u64 first = job.per_case, end = run.told;

	if (end / 2 >= job.per_case)
		first = end - job.per_case;
	for (u64 n = first; n < end; n++)
		put_bytes(&latest[n % job.per_case], sizeof(*latest));
}

/* ---- Signal handlers -------------------------------------------------------------------------- */

static void outside(greg_t *g, u64 rip);

/* Whether the routine is one that a stand-in has called. */
static bool is_nested(const greg_t *g)
{
	return job.nested_load != NONE && (u64)g[REG_RSP] <= (u64)stack_entry - job.nested;
}

static bool is_special(u64 address, enum special_kind kind)
{
	u64 index = map_find(&special_map, address);

	return index != NONE && (job.specials[index].kinds & kind);
}

/* Keep account of stores that only a fence orders: that of the last step was carried out. */
static void order_note(u64 rip)
{
	if (run.weak_next) {
		run.weak = run.weak_next;
		run.any_weak = true;
	}
	run.weak_next = is_special(rip, WEAK) ? rip : 0;
	if (is_special(rip, FENCE))
		run.weak = 0;
}

/* Called in single-step mode before each instruction of the routine. */
static void before(greg_t *g)
{
	u64 rip = g[REG_RIP], watched;

	if (!run.stepped)
		return;
	order_note(rip);
	if (rip == return_address) {
		g[REG_EFL] &= ~(greg_t)FLAG_TF;
		return;
	}
	if (!in_code(rip)) {
		outside(g, rip);
		return;
	}
	run.rip = rip;
	if (++run.steps > run.max_steps) {
		finish(g, TIMEOUT, rip);
		return;
	}
	if (is_nested(g))
		return;
	if (job.mode == TRACE)
		trace_step(g, rip);
	watched = map_find(&watch_map, rip);
	if (watched != NONE)
		visit_keep(g, rip, watched);
}

/* Control is at an address that is not the image's. */
static void outside(greg_t *g, u64 rip)
{
	u64 index = map_find(&external_map, rip);
	u64 *rsp = (u64 *)g[REG_RSP];

	if (index == NONE) {
		finish(g, WILD, rip);
	} else if (!job.externals[index].is_return) {
		finish(g, ESCAPED, rip);
	} else {
		g[REG_RIP] = *rsp;
		g[REG_RSP] += 8;
		before(g);
	}
}

static bool in_region(const struct region *region, u64 address)
{
	return address >= (u64)region->start - PAGE && address < (u64)region->end + PAGE;
}

/* The number that the handler reports for the next fault on a load. */
static u64 next_trap(void)
{
	u64 number = run.n_loads++;

	return run.test.traps >> (number < 63 ? number : 63) & 1 ? 18 : 14;
}

static void fault_note(u64 insn, u64 address, bool is_store)
{
	struct fault *fault = &run.faults[run.n_faults++];

	run.fault_address = address;
	fault->insn = insn;
	fault->is_store = is_store;
	fault->trap = is_store ? 14 : next_trap();
	if (contract.src != NONE && in_region(&run.src.region, address)) {
		fault->buffer = 1;
		fault->offset = address - (u64)run.src.at;
	} else if (in_region(&run.dst.region, address)) {
		fault->buffer = 2;
		fault->offset = address - (u64)run.dst.at;
	} else {
		fault->buffer = 0;
		fault->offset = address;
	}
}

/* False if the handler does something that is not modelled. */
static bool handler_apply(greg_t *g, const struct entry *entry)
{
	for (u64 i = 0; i < entry->n; i++) {
		const struct operation *operation = &entry->operations[i];
		greg_t *target = &g[greg_of[operation->target]];

		switch (operation->effect) {
		case SET_TRAP:
			*target = run.faults[run.n_faults - 1].trap;
			break;
		case SET_ADDRESS:
			*target = run.fault_address;
			break;
		case SET_IMM:
			*target = operation->imm;
			break;
		case ADD_IMM:
			*target += operation->imm;
			break;
		case SCALE_ADD:
			*target = operation->imm * (u64)*target + (u64)g[greg_of[operation->operand]];
			break;
		default:
			return false;
		}
	}
	return true;
}

/* ---- Bad pages that come and go, as another thread that unmaps and maps them would have it -------- */

static u64 n_touches;		/* accesses to such pages so far */
static bool opened;		/* one is accessible, for one instruction */

/* Of the first touches each has a bit of its own (1 for a fault), those behind them repeat some bits for ever. */
static bool touch_faults(void)
{
	u64 word = run.test.flicker, n_first = word & 0xff, n_cycle = word >> 40 & 0xff, i = n_touches++;

	return (i < n_first ? word >> (8 + i) : word >> (48 + (i - n_first) % n_cycle)) & 1;
}

static void flickering_protect(int rights)
{
	const struct buffer *buffers[] = { &run.src, &run.dst };

	for (int i = 0; i < 2; i++)
		if (buffers[i]->flickers && mprotect(buffers[i]->region.hole, PAGE, rights))
			die(NO_MEMORY);
}

static void flickering_close(greg_t *g)
{
	if (!opened)
		return;
	opened = false;
	flickering_protect(PROT_NONE);
	if (!run.stepped)
		g[REG_EFL] &= ~(greg_t)FLAG_TF;
}

static bool is_in_hole(const struct buffer *buffer, u64 address)
{
	return buffer->flickers && (address & -PAGE) == (u64)buffer->region.hole;
}

/* Whether the access goes through this time: for one instruction, or for one iteration of a REP. */
static bool is_back(greg_t *g, u64 address)
{
	const struct buffer *buffer = is_in_hole(&run.src, address) ? &run.src : &run.dst;

	if (!is_in_hole(buffer, address) || touch_faults())
		return false;
	opened = true;
	if (mprotect(buffer->region.hole, PAGE, PROT_READ | PROT_WRITE))
		die(NO_MEMORY);
	g[REG_EFL] |= FLAG_TF;
	return true;
}

static void flickering_set(struct buffer *buffer, u64 where, const u8 *pattern)
{
	const struct region *region = &buffer->region;
	s64 from = -RED, to = (s64)run.test.len + RED;

	if (!run.test.flicker || (where != HOLE && where != INSIDE))
		return;
	buffer->flickers = true;
	buffer->spans[0] = overlap(from, to, buffer->at, region->start, region->end);
	buffer->spans[1].from = buffer->spans[1].to = buffer->spans[0].to;
	flickering_protect(PROT_READ | PROT_WRITE);
	fill(buffer, pattern);
	flickering_protect(PROT_NONE);
}

/* A fault that is taken not to happen: at a bad byte of its buffer, of a kind of access that only faults with an entry. */
static bool is_unasked(const struct fault *fault)
{
	return contract.unstruck == 1 + fault->is_store && fault->buffer && fault->offset < run.test.len;
}

/*
 * The kernel has no red zone: its exception frame overwrites what lies below rsp. It takes 168 bytes, and its handler
 * more.
 */
static void frame_push(u64 rsp)
{
	enum { FRAME = 256 };

	if (rsp >= stack_low + FRAME && rsp <= (u64)stack_top + 8)
		memset((void *)(rsp - FRAME), 0xa5, FRAME);
}

static void access_fault(greg_t *g, u64 rip)
{
	u64 index = map_find(&entry_map, rip), address = g[REG_CR2];
	bool is_store = g[REG_ERR] & 2, nested = is_nested(g);

	if (address < stack_low && address >= stack_low - STACK_GUARD) {
		finish(g, OVERFLOW, rip);
		return;
	}
	if (is_back(g, g[REG_CR2]))
		return;
	flickering_close(g);
	if (index == NONE && is_return(rip)) {
		finish(g, WILD, rip);
		return;
	}
	run.weak_next = 0;
	frame_push(g[REG_RSP]);
	if (nested && run.was_nested)	/* one byte is tried in several ways, and one fault is told */
		run.n_loads -= !run.faults[--run.n_faults].is_store;
	run.was_nested = nested;
	fault_note(!nested ? rip : is_store ? job.nested_store : job.nested_load, address, is_store);
	if (index == NONE) {
		finish(g, is_unasked(&run.faults[run.n_faults - 1]) ? REFUSED : OOPS, rip);
	} else if (entries[index].is_fatal && run.faults[run.n_faults - 1].trap == 18) {
		finish(g, OOPS, rip);	/* the kernel does not recover from a machine check there */
	} else if (run.n_faults == MAX_FAULTS) {
		finish(g, TIMEOUT, rip);
	} else if (!handler_apply(g, &entries[index])) {
		finish(g, ESCAPED, rip);
	} else {
		g[REG_RIP] = entries[index].fixup;
		before(g);
	}
}

/* An exception of an access whose address is not aligned, without an entry that might go on: an oops too. */
static enum ending refusal(u64 rip)
{
	return is_special(rip, ALIGNED) && map_find(&entry_map, rip) == NONE ? TRAPPED : ILLEGAL;
}

static void on_segv(greg_t *g)
{
	u64 rip = g[REG_RIP];

	if (!in_code(rip))
		outside(g, rip);
	else if (g[REG_TRAPNO] == 14)
		access_fault(g, rip);
	else
		finish(g, is_return(rip) ? WILD : refusal(rip), rip);
}

static void on_int3(greg_t *g, u64 rip)
{
	u64 index = map_find(&softint_map, rip);

	if (index != NONE) {
		run.ac = job.softints[index].ac;
		g[REG_RIP] = rip + 3;
		before(g);
	} else if (in_code(rip)) {
		finish(g, ILLEGAL, rip);
	} else {
		outside(g, rip);
	}
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
	greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)info;
	if (signal == SIGPROF) {
		if (running && ++ticks > max_ticks)
			finish(g, TIMEOUT, g[REG_RIP]);
		return;
	}
	if (!running)
		die(OWN_FAULT);
	if (signal == SIGSEGV)
		on_segv(g);
	else if (signal == SIGTRAP && g[REG_TRAPNO] == 3)
		on_int3(g, g[REG_RIP] - 1);
	else if (signal == SIGTRAP) {
		flickering_close(g);
		before(g);
	} else
		finish(g, in_code(g[REG_RIP]) ? signal == SIGBUS ? refusal(g[REG_RIP]) : ILLEGAL : WILD, g[REG_RIP]);
}

static void handlers_install(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGPROF };
	const struct itimerval tick = { { 0, TICK_USEC }, { 0, TICK_USEC } };
	stack_t stack = { .ss_size = 128 * 1024 };
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };

	stack.ss_sp = allocate(1, stack.ss_size);
	sigaltstack(&stack, NULL);
	action.sa_sigaction = on_signal;
	sigemptyset(&action.sa_mask);
	sigaddset(&action.sa_mask, SIGPROF);
	for (u64 i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		sigaction(signals[i], &action, NULL);
	setitimer(ITIMER_PROF, &tick, NULL);
}

/* ---- Running a case --------------------------------------------------------------------------- */

/* What the registers hold besides arguments. */
static const u64 *registers_of_seed(u64 seed)
{
	static u64 registers[NREGS], last_seed = NONE;

	if (seed == last_seed)
		return registers;
	for (int i = 0; i < 16; i++)
		registers[i] = random_word(seed, STREAM_REGISTERS, i);
	registers[RFLAGS] = 0x202 | (random_word(seed, STREAM_REGISTERS, RFLAGS) & FLAGS_ARITHMETIC);
	for (u64 i = 0; i < contract.n_given; i++)
		registers[contract.given[i]] = contract.value[i];
	last_seed = seed;
	return registers;
}

static void vectors_set(const struct test *test)
{
	static u64 set_seed = NONE, set_preset;
	const struct preset *preset = preset_of(test);

	if (test->seed == set_seed && test->preset == set_preset)
		return;
	for (int i = 0; i < VECTORS; i++)
		for (int lane = 0; lane < LANES; lane++)
			load_vectors[i][lane] = random_word(test->seed, STREAM_VECTORS, LANES * i + lane);
	for (int i = 0; preset && i < VECTORS; i++)
		if (preset->mask >> (NREGS + i) & 1)
			memcpy(load_vectors[i], preset->vectors[i], sizeof(load_vectors[i]));
	set_seed = test->seed;
	set_preset = test->preset;
}

static void registers_preset(const struct preset *preset)
{
	for (int i = 0; i < 16; i++)
		if (preset->mask >> i & 1)
			run.initial[i] = preset->registers[i];
	if (preset->mask >> RFLAGS & 1)
		run.initial[RFLAGS] = 0x202 | (preset->registers[RFLAGS] & FLAGS_ARITHMETIC);
	for (u64 i = 0; i < contract.n_given; i++)
		run.initial[contract.given[i]] = contract.value[i];
}

static void registers_set(const struct test *test)
{
	memcpy(run.initial, registers_of_seed(test->seed), sizeof(run.initial));
	if (test->preset)
		registers_preset(preset_of(test));
	if (contract.dst != NONE)
		run.initial[contract.dst] = (u64)run.dst.at;
	if (contract.src != NONE)
		run.initial[contract.src] = (u64)run.src.at;
	if (contract.len != NONE)
		run.initial[contract.len] = test->len;
	if (contract.stored_value != NONE)
		run.initial[contract.stored_value] = value_stored;
	run.initial[RSP] = (u64)stack_entry;
}

static void stack_set(void)
{
	u64 *slot = (u64 *)stack_entry;

	for (int i = 1; i <= 8; i++)	/* the caller's frame */
		slot[i] = 0x5ca1ab1e00000000ull + i;
	slot[0] = return_address;
	slot[-1] = job.entry;
	slot[-2] = run.initial[RFLAGS] | (run.stepped ? FLAG_TF : 0);
}

static bool frame_intact(void)
{
	const u64 *slot = (const u64 *)stack_entry;

	for (int i = 1; i <= 8; i++)
		if (slot[i] != 0x5ca1ab1e00000000ull + i)
			return false;
	return slot[0] == return_address;
}

/*
 * An int3 costs as much as a fault. Where the routine leaves the x87 registers alone, they can keep AC
 * in a grid, of which only the value at the return is judged: stac pushes a zero, clac empties them all.
 */
static bool ac_in_x87;

static bool x87_in_use(void)
{
	enum { EMPTY = 0x4100, CLASS = 0x4500 };	/* of the status word: C3, C0; and C2 */
	uint16_t status;

	asm volatile("fxam\n fnstsw %0" : "=a"(status));
	return (status & CLASS) != EMPTY;
}

/* The x87 and MMX registers hold zero, and are marked as empty. */
static void x87_clear(void)
{
	asm volatile("pxor %mm0, %mm0\n pxor %mm1, %mm1\n pxor %mm2, %mm2\n pxor %mm3, %mm3\n"
		     "pxor %mm4, %mm4\n pxor %mm5, %mm5\n pxor %mm6, %mm6\n pxor %mm7, %mm7\n fninit");
}

static void softints_into_x87(void)
{
	static const u8 push_zero[3] = { 0xd9, 0xee, 0x90 }, empty[3] = { 0x0f, 0x77, 0x90 };

	for (u64 i = 0; i < job.n_softints; i++) {
		u8 *code = (u8 *)job.softints[i].address;
		u8 *page = (u8 *)((u64)code & ~(PAGE - 1));
		u64 size = round_up(code + 3 - page);

		if (mprotect(page, size, PROT_READ | PROT_WRITE))
			die(NO_MAPPING);
		memcpy(code, job.softints[i].ac ? push_zero : empty, 3);
		if (mprotect(page, size, PROT_READ | PROT_EXEC))
			die(NO_MAPPING);
	}
	ac_in_x87 = job.n_softints != 0;
}

/* The count of bytes left that the routine tells at its return; NONE for the address of a byte of no buffer. */
static u64 left_returned(void)
{
	u64 value = run.final[contract.left] & contract.left_mask, len = run.test.len;
	bool failed = value != 0;

	if (contract.told == LEFT)
		return value;
	if (contract.told == DONE)
		return len - value;
	if (contract.status != NONE)
		failed = !(run.final[contract.status] & contract.status_mask) == contract.inverted;
	if (!failed)
		return 0;
	if (contract.src != NONE && value - (u64)run.src.at < len)
		return len - (value - (u64)run.src.at);
	if (contract.dst != NONE && value - (u64)run.dst.at < len)
		return len - (value - (u64)run.dst.at);
	return NONE;
}

/* The first byte from `claim` on, and before one of dst that is bad, that is not zero after a fault. */
static void unzeroed_find(s64 claim, s64 len)
{
	const struct test *test = &run.test;

	if (run.ending != RETURNED || !run.n_faults || test->flicker || left_returned() > test->len)
		return;
	if (test->dst_place == INSIDE)
		return;
	if (test->dst_place == HOLE && (s64)test->dst_at < len)
		len = test->dst_at;
	for (s64 at = claim; at < len; at++)
		if (run.dst.at[at]) {
			run.unzeroed = at;
			return;
		}
}

/* What was zeroed of the bytes that are reported left counts as not stored, where the contract allows that. */
static void zeros_undo(void)
{
	s64 len = run.test.len, claim = 0;

	if (!contract.rest_zeroed || run.ending == REFUSED)
		return;
	if (contract.zero_rest != NONE && !(uint32_t)run.initial[contract.zero_rest])
		return;
	if (run.ending == RETURNED && left_returned() <= run.test.len)
		claim = len - (s64)left_returned();
	if (contract.zeroes_rest)
		unzeroed_find(claim, len);
	/* Nothing was copied at or behind a fault, so that a zero is none of src's. */
	for (u64 i = 0; i < run.n_faults; i++)
		if (run.faults[i].buffer && (s64)run.faults[i].offset >= 0 && (s64)run.faults[i].offset < claim)
			claim = run.faults[i].offset;
	for (int i = 0; i < 2; i++) {
		s64 at = run.dst.spans[i].from, to = run.dst.spans[i].to;

		for (at = at < 0 ? 0 : at, to = to > len ? len : to; at < to; at++) {
			u8 *zero = memchr(run.dst.at + at, 0, to - at);

			if (!zero)
				break;
			at = zero - run.dst.at;
			if (at >= claim || contents[(at + LEAD) % PERIOD])
				*zero = fresh[(at + LEAD) % PERIOD];
		}
	}
}

static void enter(const struct test *test)
{
	stack_entry = stack_top - 8 * (mix(test->seed) % 1024);
	registers_set(test);
	vectors_set(test);
	stack_set();
	memcpy(load, run.initial, sizeof(load));
	load[RSP] -= 16;
	run.n_faults = 0;
	run.unzeroed = NONE;
	run.n_loads = 0;
	run.told = 0;
	run.was_nested = false;
	n_touches = 0;
	run.ac = 0;
	run.rip = 0;
	run.top = 0;
	run.steps = 0;
	run.weak_next = run.weak = 0;
	run.any_weak = false;
	/* No routine takes 100 steps a byte. An endless one shows its visits in fewer. */
	run.max_steps = n_timeouts < MAX_TIMEOUTS ? 5000 + 100 * test->len : 2000;
	ticks = 0;
	max_ticks = run.stepped ? 2000 : 5 + test->len / (1 << 19);
	run.ending = RETURNED;
	if (!job.x87_is_free)
		x87_clear();
	else if (ac_in_x87)
		asm volatile("emms");
	running = true;
	enter_routine();
	n_timeouts += run.ending == TIMEOUT;
	if (!running)
		return;
	running = false;
	if (ac_in_x87)
		run.ac = x87_in_use();
	memcpy(run.final, store, sizeof(store));
	run.final[RFLAGS] = (run.final[RFLAGS] & ~FLAG_TF) | (run.ac ? FLAG_AC : 0);
}

static void execute(const struct test *test)
{
	enter(test);
	zeros_undo();
}

static bool is_long(const struct test *test)
{
	return test->len > SMALL || (test->src_place == HOLE && test->src_at > SMALL) ||
	       (test->dst_place == HOLE && test->dst_at > SMALL);
}

static void set_up(const struct test *test)
{
	u64 arena = test->seed % n_arenas;
	const struct region *src = &src_arenas[arena], *dst = &dst_arenas[mix(test->seed) % n_arenas];

	if (IS_VALUE(test->seed)) {
		src = &src_valued;
		dst = &dst_valued;
	}
	know_contents(test, round_up(test->len + RED + LEAD));
	if (contract.src != NONE) {
		buffer_set(&run.src, src, place(src, test->src_place, test->src_at, test->len), test->len);
		fill(&run.src, contents);
		flickering_set(&run.src, test->src_place, contents);
	}
	buffer_set(&run.dst, dst, place(dst, test->dst_place, test->dst_at, test->len), test->len);
	fill(&run.dst, fresh);
	flickering_set(&run.dst, test->dst_place, fresh);
}

static bool set_up_long(const struct test *test)
{
	memset(&run.src, 0, sizeof(run.src));
	memset(&run.dst, 0, sizeof(run.dst));
	if (test->flicker)
		return false;
	know_contents(test, PERIOD);
	return (contract.src == NONE ||
		long_buffer(&run.src, test->src_place, test->src_at, test->len, contents, &src_pattern,
			     MAP_SHARED)) &&
	       long_buffer(&run.dst, test->dst_place, test->dst_at, test->len, fresh, &dst_pattern, MAP_PRIVATE);
}

static void tear_down_long(void)
{
	long_buffer_free(&run.src);
	long_buffer_free(&run.dst);
}

/* ---- What was stored -------------------------------------------------------------------------- */

struct runs { u64 n; struct span list[MAX_RUNS]; };

static struct runs stored, wrong;
static u64 most_runs;

static void runs_copy(struct runs *to, const struct runs *from)
{
	to->n = from->n;
	memcpy(to->list, from->list, from->n * sizeof(*from->list));
}

/* Runs come in order. Where there are too many, what lies between the last of them is taken for one. */
static void runs_add(struct runs *runs, s64 from, s64 to)
{
	struct span *last = runs->n ? &runs->list[runs->n - 1] : NULL;

	if (!last || (from > last->to && runs->n < most_runs))
		runs->list[runs->n++] = (struct span){ from, to };
	else if (to > last->to)
		last->to = to;
}

/* How many of the first n bytes are alike. */
static u64 alike(const u8 *a, const u8 *b, u64 n)
{
	u64 i = 0;

	for (; i + 16 <= n; i += 16) {
		__m128i x = _mm_loadu_si128((const __m128i *)(a + i)), y = _mm_loadu_si128((const __m128i *)(b + i));
		unsigned int unlike = ~_mm_movemask_epi8(_mm_cmpeq_epi8(x, y)) & 0xffff;

		if (unlike)
			return i + __builtin_ctz(unlike);
	}
	while (i < n && a[i] == b[i])
		i++;
	return i;
}

static void block_classify(s64 from, u64 index, u64 n)
{
	const u8 *bytes = run.dst.at + from;

	for (u64 i = 0; i < n;) {
		u64 k;

		i += alike(bytes + i, fresh + index + i, n - i);
		k = alike(bytes + i, wanted + index + i, n - i);
		if (k) {
			runs_add(&stored, from + i, from + i + k);
		} else if (i < n) {
			k = 1;
			runs_add(&stored, from + i, from + i + 1);
			runs_add(&wrong, from + i, from + i + 1);
		}
		i += k;
	}
}

/*
 * A page of a long dst that was never stored to still belongs to the file that it was mapped from. The kernel's
 * page map says so, and it need not be read: reading gigabytes takes a second and as much resident memory.
 */
enum { WINDOW = 4096 };

static int page_map = -1;
static struct { u64 first, n, words[WINDOW]; } window;

static bool page_may_have_changed(const u8 *at)
{
	const u64 present = 1ull << 63, swapped = 1ull << 62, of_file = 1ull << 61;
	u64 page = (u64)at / PAGE, entry;

	if (page - window.first >= window.n) {
		ssize_t got = pread(page_map, window.words, sizeof(window.words), page * sizeof(u64));

		window.first = page;
		window.n = got > 0 ? got / sizeof(u64) : 0;
		if (!window.n)
			return true;
	}
	entry = window.words[page - window.first];
	return (entry & (present | swapped)) && !(entry & of_file);
}

static bool block_may_have_changed(s64 from, u64 n)
{
	return page_may_have_changed(run.dst.at + from) || page_may_have_changed(run.dst.at + from + n - 1);
}

/* Find the runs of bytes of dst that changed, and of those that changed to the wrong value. */
static void classify(void)
{
	bool is_mapped = is_long(&run.test);

	stored.n = wrong.n = window.n = 0;
	most_runs = is_mapped ? MAX_LONG_RUNS : MAX_RUNS;
	for (int i = 0; i < 2; i++) {
		s64 from = run.dst.spans[i].from, to = run.dst.spans[i].to;

		while (from < to) {
			u64 index, n = piece(from, to, &index);

			if (n > PAGE)
				n = PAGE;
			if (!is_mapped || block_may_have_changed(from, n))
				block_classify(from, index, n);
			from += n;
		}
	}
}

/* ---- The judge of the grid; runs/judge.py is its twin ------------------------------------------- */

struct facts {
	u64 missing;		/* lowest offset within dst that was not stored; len if none */
	u64 last;		/* one more than the highest offset within dst that was stored */
	bool any_wrong;		/* within dst */
	bool stray;		/* a store in a red zone */
};

static void facts_find(struct facts *facts)
{
	s64 len = run.test.len;

	*facts = (struct facts){ 0 };
	for (u64 i = 0; i < stored.n; i++) {
		s64 from = stored.list[i].from, to = stored.list[i].to;

		if (from < 0 || to > len)
			facts->stray = true;
		if (from <= (s64)facts->missing && to > (s64)facts->missing)
			facts->missing = to;
		if (from < len && to > 0)
			facts->last = to < len ? to : len;
	}
	if ((s64)facts->missing > len)
		facts->missing = len;
	for (u64 i = 0; i < wrong.n; i++)
		if (len && wrong.list[i].from < len && wrong.list[i].to > 0)
			facts->any_wrong = true;
}

/* Lowest bad offset within a buffer that a fault was taken at; NONE without one. */
static u64 fault_point(void)
{
	u64 point = NONE;

	for (u64 i = 0; i < run.n_faults; i++) {
		const struct fault *fault = &run.faults[i];

		if (fault->buffer && fault->offset < run.test.len && fault->offset < point)
			point = fault->offset;
	}
	return point;
}

/* The first fault outside the buffers, NULL without one. */
static const struct fault *stray_fault(void)
{
	for (u64 i = 0; i < run.n_faults; i++)
		if (!run.faults[i].buffer || run.faults[i].offset >= run.test.len)
			return &run.faults[i];
	return NULL;
}

static bool first_is_bad(u64 where, u64 at)
{
	return where == INSIDE || (where == HOLE && at == 0);
}

static bool after_machine_check(void)
{
	return run.n_faults && run.faults[run.n_faults - 1].trap == 18;
}

#define BREAKS(obligation, condition) ((u64)((condition) != 0) << (obligation))

static u64 judge_count(const struct facts *facts, u64 left)
{
	const struct test *test = &run.test;
	u64 claimed = test->len - left;
	u64 allowed = after_machine_check() ? contract.over_report_on_mc : contract.over_report;
	bool bad = (contract.src != NONE && first_is_bad(test->src_place, test->src_at)) ||
		   first_is_bad(test->dst_place, test->dst_at);

	if (left > test->len)
		return BREAKS(2, true);
	return BREAKS(3, facts->missing < claimed) |
	       BREAKS(4, facts->last > claimed && facts->last - claimed > allowed) |
	       BREAKS(5, test->len && left == test->len && !bad);
}

static u64 judge_state(void)
{
	bool ok = run.final[RSP] == run.initial[RSP] + 8 && !(run.final[RFLAGS] & (FLAG_DF | FLAG_AC)) &&
		  frame_intact();

	for (int i = 0; i < 16; i++)
		if (contract.kept >> i & 1 && run.final[i] != run.initial[i])
			ok = false;
	return BREAKS(7, !ok);
}

static bool status_ok(u64 status, bool faulted)
{
	if (!faulted && contract.success_unasked)
		return true;
	if (faulted && contract.has_error)
		return (status & contract.error_mask) == contract.error;
	if (!faulted && contract.is_bool)
		return status == 1;
	return ((status != 0) != contract.inverted) == faulted;
}

/* Of a value that is returned: the bytes of src, zero-extended, and 0 after a fault. */
static bool value_ok(u64 value)
{
	u64 wanted_value = 0;

	if (!run.n_faults)
		memcpy(&wanted_value, contents + LEAD, contract.size);
	return value == wanted_value;
}

/* The offset of the first zero byte of src; the length if there is none. */
static u64 first_zero(void)
{
	u64 n = run.test.len < PERIOD - LEAD ? run.test.len : PERIOD - LEAD;
	const u8 *zero = memchr(contents + LEAD, 0, n);

	return zero ? (u64)(zero - contents - LEAD) : run.test.len;
}

static bool string_failed(void)
{
	return run.n_faults && (run.final[contract.string_length] & contract.length_mask) == contract.error;
}

/* Of the length of a string: it is right, and all of the string is copied. */
static bool string_ok(const struct facts *facts)
{
	u64 value = run.final[contract.string_length] & contract.length_mask, nul = first_zero(), len = run.test.len;

	if (string_failed())
		return true;
	if (contract.counts_nul && nul == len ? value <= len : value != nul + contract.counts_nul)
		return false;
	return contract.dst == NONE || facts->missing >= (nul < len ? nul + 1 : len);
}

/* The error only where a byte up to the string's end is bad, and no byte behind that stored. */
static u64 judge_string(const struct facts *facts)
{
	const struct test *test = &run.test;
	u64 nul = first_zero(), src = NONE, dst = NONE;

	if (test->src_place == HOLE || test->src_place == INSIDE)
		src = test->src_place == HOLE ? test->src_at : 0;
	if (contract.dst != NONE && (test->dst_place == HOLE || test->dst_place == INSIDE))
		dst = test->dst_place == HOLE ? test->dst_at : 0;
	return BREAKS(5, string_failed() && (src < dst ? src : dst) > nul) | BREAKS(4, facts->last > nul + 1);
}

static bool result_ok(const struct facts *facts)
{
	bool faulted = run.n_faults != 0;
	u64 trap = faulted ? run.faults[run.n_faults - 1].trap : 0;

	if (contract.trap != NONE && (run.final[contract.trap] & contract.trap_mask) != trap)
		return false;
	if (contract.status != NONE && !status_ok(run.final[contract.status] & contract.status_mask, faulted))
		return false;
	if (contract.string_length != NONE)
		return string_ok(facts);
	if (faulted || contract.dst == NONE)
		return true;
	return facts->missing == run.test.len &&
	       (contract.left == NONE || !left_returned());
}

static u64 judge_return(const struct facts *facts)
{
	u64 broken = judge_state() | BREAKS(9, !result_ok(facts));

	if (contract.loaded_value != NONE)
		broken |= BREAKS(6, !value_ok(run.final[contract.loaded_value]));
	if (contract.left != NONE)
		broken |= judge_count(facts, left_returned());
	if (contract.string_length != NONE)
		broken |= judge_string(facts);
	return broken;
}

/* The mask of broken obligations. */
static u64 judge_facts(const struct facts *facts)
{
	u64 broken;

	if (run.ending == ESCAPED || run.ending == REFUSED)
		return 0;
	broken = BREAKS(6, facts->any_wrong || run.unzeroed != NONE) | BREAKS(8, facts->stray || stray_fault()) |
		 BREAKS(4, facts->last > fault_point());
	if (run.ending == RETURNED)
		broken |= judge_return(facts);
	broken |= BREAKS(10, run.ending == RETURNED && run.weak);
	broken |= BREAKS(1, run.ending == OOPS || run.ending == TRAPPED) |
		  BREAKS(7, run.ending == WILD || run.ending == ILLEGAL) |
		  BREAKS(9, run.ending == TIMEOUT || run.ending == OVERFLOW);
	return broken & (after_machine_check() ? contract.on_machine_check : contract.obligations);
}

/* Add to `runs` what the other list has. */
static void runs_unite(struct runs *runs, const struct runs *other)
{
	static struct runs both;
	u64 i = 0, k = 0;

	both.n = 0;
	while (i < runs->n || k < other->n) {
		bool first = k == other->n || (i < runs->n && runs->list[i].from <= other->list[k].from);
		const struct span *next = first ? &runs->list[i++] : &other->list[k++];

		runs_add(&both, next->from, next->to);
	}
	runs_copy(runs, &both);
}

/*
 * A byte that was stored is seen by its change, and a wrong one may be what stood there before. So where one is
 * missed the case is run again, with another byte at each offset of dst: all that changed in either was stored.
 */
static void look_again(void)
{
	static struct runs stored_first, wrong_first;
	const struct test test = run.test;
	bool is_big = is_long(&test);

	runs_copy(&stored_first, &stored);
	runs_copy(&wrong_first, &wrong);
	other_fresh = true;
	if (is_big)
		tear_down_long();
	if (!is_big)
		set_up(&test);
	else if (!set_up_long(&test))
		die(NO_MEMORY);
	execute(&test);
	flickering_protect(PROT_READ | PROT_WRITE);
	opened = false;
	classify();
	other_fresh = false;
	runs_unite(&stored, &stored_first);
	runs_unite(&wrong, &wrong_first);
}

static u64 judge(void)
{
	struct facts facts;
	u64 broken;

	classify();
	facts_find(&facts);
	broken = judge_facts(&facts);
	if (run.ending == RETURNED && facts.missing < run.test.len && broken & (BREAKS(3, 1) | BREAKS(9, 1))) {
		look_again();
		facts_find(&facts);
		broken = judge_facts(&facts);
	}
	return broken;
}

/* ---- The grid --------------------------------------------------------------------------------- */

/* Shorter first, then the earlier fault, then the plainer placement. */
static int test_compare(const struct test *a, const struct test *b)
{
	const u64 left[] = { a->len, a->preset, a->src_at + a->dst_at, a->src_place, a->dst_place, a->src_at,
			     a->traps != 0, a->traps };
	const u64 right[] = { b->len, b->preset, b->src_at + b->dst_at, b->src_place, b->dst_place, b->src_at,
			      b->traps != 0, b->traps };

	for (u64 i = 0; i < sizeof(left) / sizeof(*left); i++)
		if (left[i] != right[i])
			return left[i] < right[i] ? -1 : 1;
	return 0;
}

static struct key *key_of(u64 obligation)
{
	u64 insn = run.n_faults ? run.faults[run.n_faults - 1].insn : 0;
	u64 at = run.ending == ILLEGAL || run.ending == TRAPPED ? run.rip : 0;
	struct key *key = shared->keys;

	for (; key < shared->keys + shared->n_keys; key++)
		if (key->obligation == obligation && key->insn == insn && key->ending == run.ending && key->at == at)
			return key;
	if (shared->n_keys == MAX_KEYS)
		return NULL;
	*key = (struct key){ .obligation = obligation, .insn = insn, .ending = run.ending, .at = at };
	shared->n_keys++;
	return key;
}

static void key_keep(struct key *key, const struct test *test)
{
	u64 i = key->n < KEPT ? key->n : KEPT - 1;

	if (key->n == KEPT && test_compare(test, &key->kept[i]) >= 0)
		return;
	for (; i && test_compare(test, &key->kept[i - 1]) < 0; i--)
		key->kept[i] = key->kept[i - 1];
	key->kept[i] = *test;
	if (key->n < KEPT)
		key->n++;
}

static void violations_note(u64 broken)
{
	shared->failed += broken != 0;
	for (u64 obligation = 1; obligation <= 10 && broken >> obligation; obligation++) {
		struct key *key;

		if (!(broken >> obligation & 1))
			continue;
		key = key_of(obligation);
		if (key) {
			key->count++;
			key_keep(key, &run.test);
		} else {
			shared->unkept++;
		}
	}
}

static bool grid_case(const struct test *test)
{
	if (shared->serial++ < job.first)
		return true;
	run.test = *test;
	set_up(test);
	execute(test);
	violations_note(judge());
	if (run.ending == ESCAPED && !shared->escaped++)
		shared->escaped_to = run.rip;
	shared->ordered += run.any_weak;
	return n_timeouts < MAX_TIMEOUTS;
}

#define PLACE_SHIFT 56

/* A block is one length, and every src placement with every dst placement. */
static bool grid_block(void)
{
	static const u64 varied[4] = { 0, NONE, NONE - 1, 1 };	/* all alike, or the first one unlike the others */
	struct test test = { .len = take(), .seed = take(), .preset = take() };
	u64 varies = take(), traps = take(), stepped = take(), n_src = take(), n_dst = take();
	const u64 *src = cursor, *dst = cursor + n_src;

	cursor = (u64 *)dst + n_dst;
	run.stepped = stepped;
	for (u64 i = 0; i < n_src; i++) {
		test.src_place = src[i] >> PLACE_SHIFT;
		test.src_at = src[i] & ((1ull << PLACE_SHIFT) - 1);
		for (u64 j = 0; j < n_dst; j++) {
			test.dst_place = dst[j] >> PLACE_SHIFT;
			test.dst_at = dst[j] & ((1ull << PLACE_SHIFT) - 1);
			test.traps = varies ? varied[(i + j) % 4] : traps;
			if (!grid_case(&test))
				return false;
		}
	}
	return true;
}

static void grid(void)
{
	shared->serial = 0;
	for (u64 i = 0; i < job.n_tests; i++)
		if (!grid_block()) {
			shared->aborted = 1;
			return;
		}
}

/* ---- Single cases ----------------------------------------------------------------------------- */

static void spans_put(const struct runs *runs)
{
	put(runs->n);
	for (u64 i = 0; i < runs->n; i++) {
		put(runs->list[i].from);
		put(runs->list[i].to);
	}
}

static void outcome_put(void)
{
	const struct buffer *dst = &run.dst;
	const struct span *low = &dst->spans[0], *high = &dst->spans[1];

	put(run.ending);
	put(run.rip);
	put_bytes(run.final, sizeof(run.final));
	put_bytes(run.initial, sizeof(run.initial));
	put(run.ac);
	put(frame_intact());
	put(run.n_faults);
	put_bytes(run.faults, run.n_faults * sizeof(struct fault));
	put(low->from);
	put(low->to);
	put(high->from);
	put(high->to);
	spans_put(&stored);
	spans_put(&wrong);
	put(run.unzeroed);
}

static void mark_put(void)
{
	const struct fault *stray = stray_fault();

	put(run.ending == REFUSED ? 0 : judge());
	put(run.ending);
	put(run.rip);
	put(run.n_faults ? run.faults[run.n_faults - 1].insn : 0);
	put(stray ? stray->insn : 0);
}

static void case_put(void)
{
	switch (job.mode) {
	case RUN:
		classify();
		outcome_put();
		break;
	case JUDGE:
		mark_put();
		break;
	case TRACE:
		trace_end();
		break;
	default:
		visits_put();
	}
}

static void case_run(const struct test *test)
{
	bool is_big = is_long(test);

	run.test = *test;
	if (is_big && !set_up_long(test)) {
		run.ending = REFUSED;
		run.n_faults = 0;
	} else {
		if (!is_big)
			set_up(test);
		execute(test);
	}
	flickering_protect(PROT_READ | PROT_WRITE);
	opened = false;
	case_put();
	flickering_protect(PROT_NONE);
	if (is_big)
		tear_down_long();
	if (job.mode != JUDGE || out_n > 1 << 16)
		flush();
}

static void cases(void)
{
	struct test *tests = (struct test *)cursor;

	run.stepped = job.mode == SAMPLE || job.mode == TRACE || job.stepped;
	for (u64 i = job.first; i < job.n_tests; i++) {
		shared->serial = i;
		case_run(&tests[i]);
		if (job.mode == JUDGE && n_timeouts == MAX_TIMEOUTS)
			break;
	}
}

/* ---- Reading the job -------------------------------------------------------------------------- */

/* The parent writes the number of bytes first. */
static void job_load(void)
{
	u64 n = 0, size = 0;
	u8 *bytes = (u8 *)&size;

	for (u64 most = sizeof(size);;) {
		ssize_t got = read(0, bytes + n, most - n);

		if (got <= 0)
			die(BAD_JOB);
		n += got;
		if (n < most)
			continue;
		if (bytes != (u8 *)&size)
			break;
		bytes = allocate_sealed(1, size);
		n = 0;
		most = size;
		if (!size)
			break;
	}
	cursor = (u64 *)bytes;
	cursor_end = cursor + size / 8;
}

/* address, bytes (a multiple of the page), executable?, the bytes */
static void section_read(void)
{
	u64 address = take(), size = take(), executable = take();
	u8 *memory = mmap((void *)address, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (memory != (u8 *)address)
		die(NO_MAPPING);
	if (size / 8 > (u64)(cursor_end - cursor))
		die(BAD_JOB);
	memcpy(memory, cursor, size);
	cursor += size / 8;
	if (mprotect(memory, size, PROT_READ | (executable ? PROT_EXEC : 0)))
		die(NO_RIGHTS);
}

static void table_read(void)
{
	u64 n = take();

	entries = allocate_sealed(n, sizeof(*entries));
	map_new(&entry_map, n);
	for (u64 i = 0; i < n; i++) {
		struct entry *entry = &entries[i];

		take_words(entry, 4);
		if (entry->n > 4)
			die(BAD_JOB);
		take_words(entry->operations, 4 * entry->n);
		map_add(&entry_map, entry->insn, i);
	}
}

static void externals_read(void)
{
	job.n_externals = take();
	job.externals = allocate_sealed(job.n_externals, sizeof(*job.externals));
	map_new(&external_map, job.n_externals);
	for (u64 i = 0; i < job.n_externals; i++) {
		take_words(&job.externals[i], 2);
		map_add(&external_map, job.externals[i].address, i);
	}
}

static void piece_read(struct piece *piece)
{
	u64 words;

	piece->offset = take();
	piece->size = take();
	piece->bytes = (const u8 *)cursor;
	words = (piece->size + 7) / 8;
	if (words > (u64)(cursor_end - cursor))
		die(BAD_JOB);
	cursor += words;
}

static void preset_read(struct preset *preset)
{
	preset->mask = take();
	for (int i = 0; i < NREGS; i++)
		if (preset->mask >> i & 1)
			preset->registers[i] = take();
	for (int i = 0; i < VECTORS; i++)
		if (preset->mask >> (NREGS + i) & 1)
			take_words(preset->vectors[i], LANES);
	preset->has_every = take();
	preset->every = take();
	preset->n_pieces = take();
	if (preset->n_pieces > (u64)(cursor_end - cursor))
		die(BAD_JOB);
	preset->pieces = allocate_sealed(preset->n_pieces, sizeof(*preset->pieces));
	for (u64 i = 0; i < preset->n_pieces; i++)
		piece_read(&preset->pieces[i]);
}

static void presets_read(void)
{
	job.n_presets = take();
	if (job.n_presets > (u64)(cursor_end - cursor))
		die(BAD_JOB);
	job.presets = allocate_sealed(job.n_presets, sizeof(*job.presets));
	for (u64 i = 0; i < job.n_presets; i++)
		preset_read(&job.presets[i]);
}

static void specials_read(void)
{
	job.n_specials = take();
	job.specials = allocate_sealed(job.n_specials, sizeof(*job.specials));
	map_new(&special_map, job.n_specials);
	for (u64 i = 0; i < job.n_specials; i++) {
		take_words(&job.specials[i], 2);
		map_add(&special_map, job.specials[i].address, i);
	}
}

static void softints_read(void)
{
	take_words(&job.nested, 3);
	job.x87_is_free = take();
	job.n_softints = take();
	job.softints = allocate_sealed(job.n_softints, sizeof(*job.softints));
	map_new(&softint_map, job.n_softints);
	for (u64 i = 0; i < job.n_softints; i++) {
		take_words(&job.softints[i], 2);
		map_add(&softint_map, job.softints[i].address, i);
	}
}

static void contract_read(void)
{
	take_words(&contract, offsetof(struct contract_, n_given) / sizeof(u64));
	contract.n_given = take();
	if (contract.n_given > 16)
		die(BAD_JOB);
	take_words(contract.given, contract.n_given);
	take_words(contract.value, contract.n_given);
}

static void watched_read(void)
{
	job.per_case = take();
	job.n_watched = take();
	map_new(&watch_map, job.n_watched);
	visits = allocate(2 * job.n_watched, sizeof(*visits));
	for (u64 i = 0; i < job.n_watched; i++)
		map_add(&watch_map, take(), i);
	for (u64 i = 0; i < 2 * job.n_watched; i++)
		visits[i].kept = allocate(job.per_case, sizeof(struct visit));
}

static void job_read(void)
{
	job_load();
	job.mode = take();
	job.entry = take();
	for (u64 n = take(); n; n--)
		section_read();
	job.n_code = take();
	job.code = allocate_sealed(job.n_code, sizeof(*job.code));
	take_words(job.code, 2 * job.n_code);
	table_read();
	externals_read();
	specials_read();
	softints_read();
	contract_read();
	watched_read();
	if (job.mode == TRACE && job.per_case != NONE)
		latest = allocate(job.per_case, sizeof(*latest));
	job.first = take();
	job.longest = take();
	job.stepped = take();
	presets_read();
	job.n_tests = take();
}

/* A routine that stores gigabytes is to be the one that the kernel kills when memory runs out. */
static void volunteer(void)
{
	int file = open("/proc/self/oom_score_adj", O_WRONLY);

	if (file >= 0) {
		if (write(file, "1000", 4) < 0)
			errno = 0;
		close(file);
	}
}

/* Addresses that the longest case needs: either buffer lies before a bad page and again behind it. */
static u64 addresses_needed(void)
{
	const struct test *tests = (const struct test *)cursor;
	u64 most = job.longest;

	if (job.mode == GRID)
		return (8ull << 30) + 8 * most;
	if (job.n_tests > (u64)(cursor_end - cursor) * sizeof(u64) / sizeof(*tests))
		die(BAD_JOB);
	for (u64 i = 0; i < job.n_tests; i++) {
		const u64 reach[] = { tests[i].len, tests[i].src_at, tests[i].dst_at };

		for (int k = 0; k < 3; k++)
			if (reach[k] > most && reach[k] < 1ull << 44)
				most = reach[k];
	}
	return (8ull << 30) + 8 * most;
}

/*
 * The routine is a stranger's code. Of the kernel it gets no more than this program needs from now on. A grid needs to
 * return from signals and to end; single cases write to the pipe, map long buffers, and open and close pages, which no
 * call can make executable.
 */
static void confine(void)
{
	const struct allowed allowed[] = {
		{ SYS_rt_sigreturn, 0, 0, 0 },
		{ SYS_exit_group, 0, 0, 0 },
		{ SYS_write, 0, ~0u, 1 },
		{ SYS_pread64, 0, ~0u, page_map },
		{ SYS_mmap, 2, ~(unsigned int)(PROT_READ | PROT_WRITE), 0 },
		{ SYS_mprotect, 2, ~(unsigned int)(PROT_READ | PROT_WRITE), 0 },
		{ SYS_munmap, 0, 0, 0 },
	};

	if (!jail_lock(allowed, job.mode == GRID ? 2 : sizeof(allowed) / sizeof(*allowed)))
		die(NO_FILTER);
}

/* Whether this host lets routines run: its end is to be SIGSYS. It says which name spaces are missing. */
static void probe(void)
{
	unsigned int missing = jail_unshare();

	job.mode = GRID;
	stack_new();
	return_new();
	put(missing);
	flush();
	jail_limit(10, 1ull << 40);
	confine();
	syscall(SYS_getppid);
	_exit(OWN_FAULT);
}

int main(int argc, char **argv, char **environment)
{
	u64 seconds;

	if (argc < 3) {
		if (argc == 2 && !strcmp(argv[1], "probe"))
			probe();
		die(BAD_JOB);
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[1]), 0);
	if (shared == MAP_FAILED)
		die(NO_MEMORY);
	close(atoi(argv[1]));
	seconds = atoi(argv[2]);
	volunteer();
	page_map = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	jail_forget(argv, environment);
	jail_unshare();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	job_read();
	close(0);
	__builtin_cpu_init();
	has_avx = __builtin_cpu_supports("avx") != 0;
	contents_new();
	if (job.mode != GRID) {
		pattern_new(&src_pattern);
		pattern_new(&dst_pattern);
	}
	arenas_new();
	stack_new();
	return_new();
	handlers_install();
	put(READY);
	flush();
	if (job.mode == GRID && job.x87_is_free)
		softints_into_x87();
	jail_limit(seconds, addresses_needed());
	seal();
	confine();
	if (job.mode == GRID)
		grid();
	else
		cases();
	flush();
	shared->finished = 1;
	_exit(0);
}
