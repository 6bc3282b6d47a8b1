// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where on this machine is a secret? Looks for its bytes and for its hex digits, in either case,
 * joined or with one character between the pairs. For the gateway of the story, not a product.
 *
 * The needle file holds records of 32 bytes: a mask of 16, and 16 bytes of secret under that mask.
 * The secret itself is never put together here, so that the search does not find itself. It should
 * not begin with 0: pages of zeros are passed over.
 *
 * What it cannot see: memory that was given back, since the machine runs with init_on_free=1 to
 * wipe it (so that whatever is found in RAM has an owner), and any other form of the secret.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kernel-page-flags.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096
#define CHUNK (1 << 20)
#define TAIL 64			/* no form of a needle is longer */
#define NEEDLES_MAX 4
#define FRAMES_MAX (1 << 22)	/* of 16 GB */

static struct {
	uint8_t mask[16];
	uint8_t masked[16];
} needles[NEEDLES_MAX];
static unsigned int n_needles;
static uint8_t candidate[256];	/* may begin a match: 1 as a byte, 2 as a digit */
static uint8_t buffer[PAGE + CHUNK] __attribute__((aligned(PAGE)));
static uint64_t searched;

static void die(const char *what)
{
	fprintf(stderr, "canary: %s: %s.\n", what, strerror(errno));
	exit(2);
}

static int digit(uint8_t c)
{
	return isdigit(c) ? c - '0' : isxdigit(c) ? tolower(c) - 'a' + 10 : -1;
}

static void load_needles(const char *path)
{
	FILE *file = fopen(path, "rb");

	if (!file)
		die(path);
	while (n_needles < NEEDLES_MAX && fread(&needles[n_needles], 32, 1, file) == 1) {
		uint8_t first = needles[n_needles].mask[0] ^ needles[n_needles].masked[0];

		candidate[first] |= 1;
		for (int c = 0; c < 256; c++)
			if (digit(c) == first >> 4)
				candidate[c] |= 2;
		n_needles++;
	}
	fclose(file);
	if (!n_needles) {
		errno = ENODATA;
		die(path);
	}
}

static int match_bytes(const uint8_t *p, size_t len, unsigned int n)
{
	if (len < 16)
		return 0;
	for (int i = 0; i < 16; i++)
		if ((p[i] ^ needles[n].mask[i]) != needles[n].masked[i])
			return 0;
	return 1;
}

static int match_digits(const uint8_t *p, size_t len, unsigned int n)
{
	const uint8_t *end = p + len;

	for (int i = 0; i < 16; i++) {
		if (i && p < end && digit(*p) < 0)
			p++;
		if (end - p < 2 || digit(p[0]) < 0 || digit(p[1]) < 0 ||
		    ((digit(p[0]) << 4 | digit(p[1])) ^ needles[n].mask[i]) != needles[n].masked[i])
			return 0;
		p += 2;
	}
	return 1;
}

/* Matches that begin in the first @begin of @len bytes; *@at is where the first does. */
static unsigned int look(const uint8_t *p, size_t begin, size_t len, size_t *at)
{
	unsigned int found = 0;

	for (size_t i = 0; i < begin; i++) {
		if (!(i % PAGE) && begin - i >= PAGE && !p[i] && !memcmp(p + i, p + i + 1, PAGE - 1)) {
			i += PAGE - 1;
			continue;
		}
		for (unsigned int n = 0; candidate[p[i]] && n < n_needles; n++) {
			if (!(candidate[p[i]] & 1 && match_bytes(p + i, len - i, n)) &&
			    !(candidate[p[i]] & 2 && match_digits(p + i, len - i, n)))
				continue;
			if (!found++)
				*at = i;
		}
	}
	searched += begin;
	return found;
}

/* ----------------------------------------------------------------- files */

static unsigned int look_file(const char *path)
{
	int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	uint8_t *data = buffer + PAGE;		/* what was not yet looked at stands before it */
	unsigned int found = 0;
	size_t left = 0, at;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st))
		die(path);
	/* A disk is read past the page cache, which is RAM. */
	if (S_ISBLK(st.st_mode) && fcntl(fd, F_SETFL, O_DIRECT))
		die(path);
	while ((n = read(fd, data, CHUNK)) > 0) {
		size_t have = left + n, done = have > TAIL ? have - TAIL : 0;

		found += look(data - left, done, have, &at);
		memmove(data - (have - done), data - left + done, have - done);
		left = have - done;
	}
	if (n < 0)
		die(path);
	found += look(data - left, left, left, &at);
	close(fd);
	return found;
}

/* ------------------------------------------------------------- processes */

/* For each mapping of a process. */
static void each_mapping(pid_t pid, void (*each)(pid_t pid, uint64_t from, uint64_t to, void *user),
			 void *user)
{
	char path[64], line[512], rights[8];
	unsigned long long from, to;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "r");
	while (maps && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%llx-%llx %7s", &from, &to, rights) == 3 && !strstr(line, "[vsyscall]") &&
		    !strstr(line, "[vvar"))
			each(pid, from, to, user);
	if (maps)
		fclose(maps);
}

struct process {
	int mem;
	unsigned int found;
};

static void look_mapping(pid_t pid, uint64_t from, uint64_t to, void *user)
{
	struct process *process = user;
	size_t at;

	while (from < to) {
		size_t begin = to - from < CHUNK ? to - from : CHUNK;
		size_t want = to - from < CHUNK + TAIL ? to - from : CHUNK + TAIL;
		ssize_t n = pread(process->mem, buffer, want, from);

		if (n > 0)
			process->found += look(buffer, (size_t)n < begin ? (size_t)n : begin, n, &at);
		/* a page that cannot be read ends a read, and is passed over */
		from += n <= 0 ? PAGE : (size_t)n < begin ? (size_t)n : begin;
	}
}

static unsigned int look_process(pid_t pid)
{
	struct process process = { 0 };
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	process.mem = open(path, O_RDONLY | O_CLOEXEC);
	if (process.mem < 0)
		return 0;	/* it has ended */
	each_mapping(pid, look_mapping, &process);
	close(process.mem);
	return process.found;
}

/* Every process but the chip's and this one. */
static unsigned int look_processes(pid_t chip)
{
	DIR *proc = opendir("/proc");
	unsigned int found = 0, count = 0;
	struct dirent *entry;

	if (!proc)
		die("/proc");
	while ((entry = readdir(proc))) {
		pid_t pid = atoi(entry->d_name);
		unsigned int here;

		if (pid <= 0 || pid == chip || pid == getpid())
			continue;
		count++;
		here = look_process(pid);
		if (here)
			printf("process %d has it\n", pid);
		found += here;
	}
	closedir(proc);
	printf("%u processes\n", count);
	return found;
}

/* ---------------------------------------------------------------- memory */

enum { SOMEBODY, CHIP, SELF, NOBODY };
static uint8_t owner[FRAMES_MAX];

struct own {
	int pagemap;
	int who;
};

static void own_mapping(pid_t pid, uint64_t from, uint64_t to, void *user)
{
	struct own *own = user;
	uint64_t entry;

	for (; from < to; from += PAGE) {
		uint64_t frame;

		if (pread(own->pagemap, &entry, 8, from / PAGE * 8) != 8)
			return;
		frame = entry & ((1ULL << 55) - 1);
		/* in memory, and not shared with a file */
		if (entry >> 63 && !(entry >> 61 & 1) && frame && frame < FRAMES_MAX)
			owner[frame] = own->who;
	}
}

static void own_frames(pid_t pid, int who)
{
	struct own own = { .who = who };
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	own.pagemap = open(path, O_RDONLY | O_CLOEXEC);
	if (own.pagemap < 0)
		die(path);
	each_mapping(pid, own_mapping, &own);
	close(own.pagemap);
}

/* Frames that are free hold nothing, and are most. */
static void free_frames(void)
{
	int flags = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	uint64_t entries[512];
	size_t frame = 0;
	ssize_t n;

	if (flags < 0)
		die("/proc/kpageflags");
	while ((n = read(flags, entries, sizeof(entries))) > 0)
		for (size_t i = 0; i < n / sizeof(*entries) && frame < FRAMES_MAX; i++, frame++)
			if (entries[i] >> KPF_BUDDY & 1)
				owner[frame] = NOBODY;
	close(flags);
}

static int skipped(uint64_t frame)
{
	return frame < FRAMES_MAX && (owner[frame] == NOBODY || owner[frame] == SELF);
}

/*
 * All of the machine's RAM, page by page through the kernel's own window on it: processes, page cache,
 * tmpfs, sockets, pipes, USB buffers, kernel stacks. Only the frames of the chip's process may have it.
 */
static unsigned int look_memory(pid_t chip)
{
	int kcore = open("/proc/kcore", O_RDONLY | O_CLOEXEC);
	unsigned int of_chip = 0, elsewhere = 0;
	uint64_t suspects[64], plain = 0;
	Elf64_Phdr segments[64];
	Elf64_Ehdr head;

	if (kcore < 0 || pread(kcore, &head, sizeof(head), 0) != sizeof(head) || head.e_phnum > 64 ||
	    pread(kcore, segments, head.e_phnum * sizeof(*segments), head.e_phoff) !=
		    (ssize_t)(head.e_phnum * sizeof(*segments)))
		die("/proc/kcore");
	memset(buffer, 1, sizeof(buffer));
	memset(owner, SOMEBODY, sizeof(owner));
	if (mlockall(MCL_CURRENT))
		die("mlockall");
	free_frames();
	own_frames(chip, CHIP);
	own_frames(getpid(), SELF);
	for (int s = 0; s < head.e_phnum; s++) {
		Elf64_Phdr *segment = &segments[s];

		/* what is not a plain image of RAM (vmalloc and the like) is somewhere in RAM, too */
		if (segment->p_type != PT_LOAD || segment->p_paddr == (Elf64_Addr)-1)
			continue;
		plain = segment->p_offset;
		for (uint64_t done = 0, run; done < segment->p_filesz; done += run) {
			uint64_t left = segment->p_filesz - done, frame = (segment->p_paddr + done) / PAGE;
			size_t want, at;
			ssize_t n;

			for (run = PAGE; run < CHUNK && run < left && skipped(frame + run / PAGE) == skipped(frame);)
				run += PAGE;
			if (skipped(frame))
				continue;
			want = run + TAIL < left ? run + TAIL : run;
			n = pread(kcore, buffer, want, segment->p_offset + done);
			if (n < (ssize_t)run)
				die("/proc/kcore: a read");
			for (size_t page = 0; page < run; page += PAGE, frame++) {
				unsigned int here = look(buffer + page, PAGE, n - page, &at);

				if (here && frame < FRAMES_MAX && owner[frame] == CHIP)
					of_chip += here;
				else if (here && elsewhere < 64)
					suspects[elsewhere++] = segment->p_offset + done + page;
			}
		}
	}
	/* The page through which the kernel hands out all others shows the last one: look again. */
	for (unsigned int i = elsewhere; i-- > 0;) {
		size_t at;

		if (pread(kcore, buffer, PAGE, plain) < PAGE ||
		    pread(kcore, buffer, PAGE + TAIL, suspects[i]) < PAGE)
			die("/proc/kcore: a second read");
		if (look(buffer, PAGE, PAGE + TAIL, &at))
			printf("kcore offset %llx has it\n", (unsigned long long)suspects[i]);
		else
			elsewhere--;
	}
	close(kcore);
	printf("%u in the chip's process, %u elsewhere\n", of_chip, elsewhere);
	if (!of_chip) {
		puts("not even the chip has it: this search is worth nothing");
		return 1;
	}
	return elsewhere;
}

/* Exits 0 if nothing was found, 1 if something was, 2 if it could not look. */
int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[2] : "";
	unsigned int found = 0;

	if (argc == 2 && !strcmp(argv[1], "mask")) {	/* 16 bytes to a needle */
		uint8_t mask[16], bytes[16];

		if (fread(bytes, 16, 1, stdin) != 1 || getentropy(mask, 16))
			die("16 bytes");
		for (int i = 0; i < 16; i++)
			bytes[i] ^= mask[i];
		fwrite(mask, 16, 1, stdout);
		fwrite(bytes, 16, 1, stdout);
		return fflush(stdout) ? 2 : 0;
	}
	if (argc < 4) {
		fprintf(stderr, "usage: canary NEEDLES files FILE... | process PID | processes CHIP-PID | "
				"memory CHIP-PID\n       canary mask <BYTES >NEEDLE\n");
		return 2;
	}
	load_needles(argv[1]);
	if (!strcmp(what, "process"))
		found = look_process(atoi(argv[3]));
	else if (!strcmp(what, "processes"))
		found = look_processes(atoi(argv[3]));
	else if (!strcmp(what, "memory"))
		found = look_memory(atoi(argv[3]));
	else if (!strcmp(what, "files"))
		for (int i = 3; i < argc; i++)
			found += look_file(argv[i]);
	else
		return 2;
	printf("%llu KB searched, found %u times\n", (unsigned long long)(searched >> 10), found);
	return found ? 1 : searched ? 0 : 2;
}
