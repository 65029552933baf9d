// Counts the instructions that an emulated program executes, by the file and the function they lie in.
//
// A plugin for QEMU's user emulation. in: the argument out=FILE. out, when the program ends: in FILE
// a line for each function, "instructions TAB file TAB function", in no order; the function is "?"
// where the file's symbols are unknown, as in every library that was opened at run time.
//
// A block of code between two jumps is counted as a whole each time it is entered, and belongs to
// the file and function of its first instruction. Exact for a program of one thread; several threads
// that run the same block at the same instant may lose a count.
//
// The source is this project's own, under its licence. It is compiled against QEMU's qemu-plugin.h,
// which is under GPL-2.0-or-later and is not in this repository (count_instructions.py gets it from
// Debian's source package); whoever passes the compiled plugin on must heed that licence. Nothing of it is
// in what the project ships.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <qemu-plugin.h>

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

// A function of a file; the blocks of code that lie in it add to it.
struct place {
    struct place *next;
    const char *file;
    char *function;
    uint64_t instructions;
};

// A mapping of the emulator's memory with code of the emulated program.
struct mapping {
    struct mapping *next;
    uintptr_t begin, end;
    const char *file;
};

enum { BUCKETS = 4096, LINE = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct place *places[BUCKETS];
static struct mapping *mappings;
static const char *out_path;

static void *must(void *memory)
{
    if (!memory) {
        fputs("count_instructions: out of memory\n", stderr);
        abort();
    }
    return memory;
}

static void read_mappings(void)
{
    // Earlier mappings are kept: blocks point at their names, and a closed library is still counted.
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[LINE];
    while (maps && fgets(line, sizeof line, maps)) {
        unsigned long begin, end;
        int path = 0;
        if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %n", &begin, &end, &path) < 2 || !path || line[path] != '/')
            continue;
        line[strcspn(line, "\n")] = 0;
        struct mapping *mapping = must(malloc(sizeof *mapping));
        *mapping = (struct mapping){mappings, begin, end, must(strdup(line + path))};
        mappings = mapping;
    }
    if (maps)
        fclose(maps);
}

static const char *find_file(uintptr_t address)
{
    for (const struct mapping *m = mappings; m; m = m->next)
        if (address >= m->begin && address < m->end)
            return m->file;
    return NULL;
}

static const char *file_of(uintptr_t address)
{
    const char *file = find_file(address);
    if (file)
        return file;
    read_mappings();
    file = find_file(address);
    return file ? file : "?";
}

static struct place *place_of(const char *file, const char *function)
{
    unsigned bucket = 0;
    for (const char *c = function; *c; c++)
        bucket = bucket * 31 + (unsigned char)*c;
    bucket %= BUCKETS;
    for (struct place *p = places[bucket]; p; p = p->next)
        if (!strcmp(p->file, file) && !strcmp(p->function, function))
            return p;
    struct place *place = must(malloc(sizeof *place));
    *place = (struct place){places[bucket], file, must(strdup(function)), 0};
    places[bucket] = place;
    return place;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    struct qemu_plugin_insn *first = qemu_plugin_tb_get_insn(block, 0);
    const char *function = qemu_plugin_insn_symbol(first);
    pthread_mutex_lock(&lock);
    struct place *place =
        place_of(file_of((uintptr_t)qemu_plugin_insn_haddr(first)), function && *function ? function : "?");
    pthread_mutex_unlock(&lock);
    qemu_plugin_register_vcpu_tb_exec_inline(block, QEMU_PLUGIN_INLINE_ADD_U64, &place->instructions,
                                             qemu_plugin_tb_n_insns(block));
}

static void ended(qemu_plugin_id_t id, void *nothing)
{
    FILE *out = fopen(out_path, "w");
    if (!out) {
        perror(out_path);
        return;
    }
    for (unsigned bucket = 0; bucket < BUCKETS; bucket++)
        for (const struct place *p = places[bucket]; p; p = p->next)
            fprintf(out, "%" PRIu64 "\t%s\t%s\n", p->instructions, p->file, p->function);
    fclose(out);
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (!strncmp(argv[i], "out=", 4))
            out_path = must(strdup(argv[i] + 4));
    if (!out_path) {
        fputs("count_instructions: needs out=FILE\n", stderr);
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
