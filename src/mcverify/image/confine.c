/*
 * Runs a program under limits and, with Landlock, out of reach of all files but those named.
 *
 *   confine probe
 *   confine MEMORY FILE SECONDS [-x PATH | -r PATH | -t PATH | -w PATH]... -- PROGRAM [ARGUMENT]...
 *
 * MEMORY and FILE are bytes of address space and of one file, SECONDS those of the CPU. -x: read and execute beneath
 * PATH, -r: read, -t: read what lies in the folder PATH, but neither what begins with a dot (.git, .ssh) nor a link, -w:
 * read and write. A PATH that is not there is left out. Without any of them only the limits hold.
 *
 * Exit codes of its own: 124 it cannot confine, 127 it cannot execute. `probe` ends with 0 where Landlock works.
 * Landlock: Documentation/userspace-api/landlock.rst of the kernel. The numbers are written out since older headers
 * do not have them.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CANNOT_CONFINE = 124, CANNOT_EXECUTE = 127 };
enum { CREATE_RULESET = 444, ADD_RULE = 445, RESTRICT_SELF = 446, ASK_VERSION = 1, PATH_BENEATH = 1 };
enum {
	EXECUTE = 1 << 0, WRITE_FILE = 1 << 1, READ_FILE = 1 << 2, READ_DIR = 1 << 3, ALL_OF_1 = (1 << 13) - 1,
	REFER = 1 << 13, TRUNCATE = 1 << 14, IOCTL_DEV = 1 << 15, TCP = 3, SCOPES = 3,
};

struct ruleset { uint64_t files, net, scoped; };
struct beneath { uint64_t allowed; int32_t parent; } __attribute__((packed));

static void fail(const char *what)
{
	fprintf(stderr, "confine: %s: %s\n", what, strerror(errno));
	exit(CANNOT_CONFINE);
}

static int version(void)
{
	return (int)syscall(CREATE_RULESET, NULL, 0, ASK_VERSION);
}

static uint64_t handled(int abi)
{
	return ALL_OF_1 | (abi >= 2 ? REFER : 0) | (abi >= 3 ? TRUNCATE : 0) | (abi >= 5 ? IOCTL_DEV : 0);
}

static int new_ruleset(int abi)
{
	struct ruleset all = {handled(abi), abi >= 4 ? TCP : 0, abi >= 6 ? SCOPES : 0};
	/* The kernel takes shorter structures from programs that know less of it. */
	size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;

	return (int)syscall(CREATE_RULESET, &all, size, 0);
}

static void allow_opened(int ruleset, int parent, uint64_t rights, const char *path)
{
	struct stat about;

	if (fstat(parent, &about))
		fail(path);
	if (!S_ISDIR(about.st_mode)) /* no others belong to a file */
		rights &= EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV;
	struct beneath rule = {rights, parent};
	if (syscall(ADD_RULE, ruleset, PATH_BENEATH, &rule, 0))
		fail(path);
	close(parent);
}

static void allow(int ruleset, const char *path, uint64_t rights)
{
	int parent = open(path, O_PATH | O_CLOEXEC);

	if (parent >= 0)
		allow_opened(ruleset, parent, rights, path);
	else if (errno != ENOENT && errno != ENOTDIR)
		fail(path);
}

static void allow_tree(int ruleset, const char *path, uint64_t rights)
{
	DIR *folder = opendir(path);

	if (!folder)
		fail(path);
	for (struct dirent *entry; (entry = readdir(folder));) {
		struct stat about;
		int parent;

		if (entry->d_name[0] == '.')
			continue;
		parent = openat(dirfd(folder), entry->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (parent < 0 || fstat(parent, &about))
			continue;
		if (S_ISDIR(about.st_mode) || S_ISREG(about.st_mode))
			allow_opened(ruleset, parent, rights, entry->d_name);
		else
			close(parent);
	}
	closedir(folder);
}

static void limit(int what, const char *text)
{
	rlim_t most = strtoull(text, NULL, 10);
	struct rlimit both = {most, most}, now;

	if (!getrlimit(what, &now) && now.rlim_max < most)
		both = (struct rlimit){now.rlim_max, now.rlim_max};
	if (setrlimit(what, &both))
		fail("setrlimit");
}

int main(int argc, char **argv)
{
	int abi = version(), ruleset = -1, at;

	if (argc == 2 && !strcmp(argv[1], "probe")) {
		if (abi < 1 || (ruleset = new_ruleset(abi)) < 0)
			return CANNOT_CONFINE;
		return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(RESTRICT_SELF, ruleset, 0) ? CANNOT_CONFINE : 0;
	}
	if (argc < 6)
		return CANNOT_CONFINE;
	limit(RLIMIT_AS, argv[1]);
	limit(RLIMIT_FSIZE, argv[2]);
	limit(RLIMIT_CPU, argv[3]);
	limit(RLIMIT_CORE, "0");
	for (at = 4; at + 1 < argc && strcmp(argv[at], "--"); at += 2) {
		uint64_t read = READ_FILE | READ_DIR;

		if (ruleset < 0 && (ruleset = new_ruleset(abi)) < 0)
			fail("Landlock");
		if (!strcmp(argv[at], "-x"))
			allow(ruleset, argv[at + 1], read | EXECUTE);
		else if (!strcmp(argv[at], "-r"))
			allow(ruleset, argv[at + 1], read);
		else if (!strcmp(argv[at], "-t"))
			allow_tree(ruleset, argv[at + 1], read);
		else if (!strcmp(argv[at], "-w"))
			allow(ruleset, argv[at + 1], handled(abi) & ~(uint64_t)(EXECUTE | IOCTL_DEV));
		else
			return CANNOT_CONFINE;
	}
	if (at + 1 >= argc)
		return CANNOT_CONFINE;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		fail("no_new_privs");
	if (ruleset >= 0 && syscall(RESTRICT_SELF, ruleset, 0))
		fail("Landlock");
	execv(argv[at + 1], argv + at + 1);
	fprintf(stderr, "confine: %s: %s\n", argv[at + 1], strerror(errno));
	return CANNOT_EXECUTE;
}
