/* SPDX-License-Identifier: Apache-2.0
 *
 * A world: phones, a server, what lies between them and everything that goes
 * wrong, in one process and one thread. It is set up from a seed and lives by a
 * list of steps, each with luck of its own; so the same seed and list give the same
 * world byte for byte, and a list with steps left out is a world, too.
 */
#ifndef OUTPOST_TESTS_SIM_SIM_H
#define OUTPOST_TESTS_SIM_SIM_H

#include "phone.h"

#include <stdio.h>

enum {
    SIM_PHONES_MAX = 6,
    SIM_GHOSTS_MAX = 8, /* connections whose device's end is gone */
    SIM_REGIONS = 3,
    SIM_FACILITIES = 6, /* two in each region */
    SIM_COPIES_MAX = 8,
    SIM_IDENTITIES_MAX = 64,
    SIM_DELETED_MAX = 256,
    SIM_GROUPS_MAX = 32, /* value_groups */
    SIM_HELD_MAX = 4096,
    SIM_FAILURES_MAX = 8,
    SIM_TEXT_LEN = 300,
    SIM_STEPS_MAX = 5000,
    SIM_SERVER_DISK = SIM_PHONES_MAX, /* among the disks */
    SIM_DAY_MS = 86400000,
};

/* X(letter, name, what) */
#define SIM_FAULTS(X)                                                        \
    X('C', CUTS, "cuts and killed apps")                                     \
    X('Z', LATE, "requests of dead streams arrive late")                     \
    X('K', COPIES, "copied and old phone files")                             \
    X('R', RESTORES, "the server is put back to a backup")                   \
    X('L', LOST, "phones that never return after that")                      \
    X('M', MOVES, "families move between regions")                           \
    X('S', SWITCHES, "phones change their facility")                         \
    X('D', DELETES, "deletes and undeletes")                                 \
    X('P', POWER, "power is lost, on phones and on the server")              \
    X('F', DISKS, "no room and I/O errors")                                  \
    X('T', CLOCKS, "clocks are wrong and jump")                              \
    X('U', UNKNOWN, "fields and types of newer apps, and older apps")        \
    X('A', MEMORY, "memory runs out, in a phone's core and in the server's") \
    X('H', HALVES, "what one commit writes in two regions is seen in one first")

enum sim_fault {
#define X(letter, name, what) SIM_##name##_BIT,
    SIM_FAULTS(X)
#undef X
        SIM_FAULT_COUNT
};

/* X(name, weight, letter of the fault that it needs or 0) */
#define SIM_STEPS(X)   \
    X(USER, 430, 0)    \
    X(SYNC, 300, 0)    \
    X(WHOLE, 60, 0)    \
    X(SERVE, 40, 0)    \
    X(CUT, 30, 'C')    \
    X(KILL, 10, 'C')   \
    X(GHOST, 25, 'Z')  \
    X(MOVE, 30, 'M')   \
    X(SWITCH, 20, 'S') \
    X(DELETE, 25, 'D') \
    X(SAVE, 12, 'K')   \
    X(COPY, 6, 'K')    \
    X(OLD, 6, 'K')     \
    X(BACKUP, 12, 'R') \
    X(RESTORE, 8, 'R') \
    X(POWER, 12, 'P')  \
    X(OUTAGE, 8, 'P')  \
    X(DISK, 10, 'F')   \
    X(TROUBLE, 8, 'F') \
    X(CLOCK, 15, 'T')  \
    X(NEWER, 25, 'U')  \
    X(MEMORY, 20, 'A') \
    X(ADMIN, 12, 0)

enum sim_step_kind {
#define X(name, weight, letter) SIM_STEP_##name,
    SIM_STEPS(X)
#undef X
        SIM_STEP_COUNT
};

struct sim_step {
    enum sim_step_kind kind;
    unsigned who; /* which phone, modulo how many there are */
    uint64_t luck;
};

/* What a phone is enrolled for. */
struct sim_enrolment {
    unsigned facility; /* where it begins, and its region is its own */
    unsigned regions;  /* bits: where it may work besides */
    bool admin;        /* everywhere */
    bool older;        /* its app is a version behind */
};

struct sim_options {
    uint64_t seed;
    unsigned faults; /* bits of enum sim_fault */
    size_t phones;   /* 0: as the seed says */
    bool empty;      /* no phones: a script adds them */
    bool verbose;
};

/* A record that some phone held when the server was put back. */
struct sim_held {
    struct record_key key;
    unsigned phones; /* bits: who still has it */
    unsigned before; /* the same, before a phone's loss of power */
};

struct sim {
    struct sim_options options;
    struct crash_disk *disks; /* of the phones, then the server's */
    /* Before everything: a phone's file, that of one with an older app, the server's. */
    struct crash_image *base_phone, *base_older, *base_server;
    struct server_end server;
    struct phone phones[SIM_PHONES_MAX];
    size_t phone_count;
    struct link *ghosts[SIM_GHOSTS_MAX];
    struct ledger ledger;
    uint64_t luck; /* of the step under way */
    int64_t now_ms;
    uint32_t records; /* made so far: their numbers are in their ids */
    struct crash_image *backup;
    struct sim_copy {
        int phone;
        struct crash_image *image;
    } copies[SIM_COPIES_MAX];
    size_t copy_count;
    /* Devices that were ever enrolled: they are in a file beside the store (R22). */
    struct sim_identity {
        struct record_uuid id, region;
        unsigned regions;
    } identities[SIM_IDENTITIES_MAX];
    size_t identity_count;
    struct sim_deleted { /* a record, or an emptied field */
        struct record_key key;
        int phone;                       /* where */
        uint32_t values[SIM_GROUPS_MAX]; /* what its user saw last, by value_groups */
    } deleted[SIM_DELETED_MAX];
    size_t deleted_count;
    struct sim_held *held;
    size_t held_count;
    struct record_schema older; /* without a type that others have */
    struct record_type *older_types;
    /* Of the moves of a sync, how many are the server's: few make it group what waits. */
    unsigned server_percent;
    bool quiet;        /* the faults are over */
    unsigned alarms;   /* digests that differed at a CaughtUp */
    unsigned restores; /* the server was put back */
    size_t failure_count;
    char failures[SIM_FAILURES_MAX][SIM_TEXT_LEN];
};

/* Once per process: disks, templates, memory. */
bool sim_init(struct sim *sim);
void sim_deinit(struct sim *sim);

/* A world's beginning; what was before is gone. */
void sim_begin(struct sim *sim, const struct sim_options *options);
void sim_step(struct sim *sim, const struct sim_step *step);
/* Makes one more phone. */
struct phone *sim_add_phone(struct sim *sim, const struct sim_enrolment *enrolment);
/* Faults stop, everybody syncs until nothing moves, everything is checked. */
void sim_finish(struct sim *sim);

/* The list that a seed stands for. */
size_t sim_draw_steps(const struct sim_options *options, size_t count, struct sim_step *steps_out);

bool sim_has(const struct sim *sim, enum sim_fault fault);
uint64_t sim_below(struct sim *sim, uint64_t limit);
bool sim_chance(struct sim *sim, unsigned percent);
void sim_fail(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_say(const struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

const char *sim_step_name(enum sim_step_kind kind);
struct record_uuid sim_region(unsigned n);
struct record_uuid sim_facility(unsigned n);
unsigned sim_region_of(const struct record_uuid *facility);
/* "patient 12": by the number in its id. */
const char *sim_name(const struct record_key *key, char text_out[48]);
/* A new identity for a phone, and the server is told. */
void sim_enrol(struct sim *sim, const struct phone *phone, const struct record_uuid *device_id);
/* The server knows them all: what is enrolled outlives its store (R22). */
void sim_enrol_all(struct sim *sim);
/* R23: the server takes the phone's file for a copy; it becomes a device of its own. */
void sim_take_identity(struct sim *sim, struct phone *phone);
struct record_uuid sim_new_id(struct sim *sim, uint32_t type);

/* sim_sync.c: syncs, connections, processes. */
bool sim_sync_begin(struct sim *sim, struct phone *phone);
bool sim_sync_begin_until(struct sim *sim, struct phone *phone, const struct link_stop *stop);
/* So many small moves of a sync that is under way. */
void sim_sync_move(struct sim *sim, struct phone *phone, size_t moves);
/* Until it ends, or the device stops; false: it did not catch up. */
bool sim_sync_whole(struct sim *sim, struct phone *phone);
/* The device has given up; late: what is under way still arrives some day. */
void sim_cut(struct sim *sim, struct phone *phone, bool late);
/* The device sends Hello, which arrives, and all that it has to push, which is late. */
void sim_sync_late(struct sim *sim, struct phone *phone);
void sim_ghost(struct sim *sim, struct link *ghost, size_t moves);
/* All of it arrives, and that was it. */
void sim_ghost_whole(struct sim *sim, size_t ghost);
void sim_drop_ghosts(struct sim *sim);
void sim_phone_restart(struct sim *sim, struct phone *phone);
void sim_server_stop(struct sim *sim);
void sim_server_start(struct sim *sim);
/* Whoever lost power gets it back. */
void sim_recover(struct sim *sim);

/* sim_files.c: copies, backups, lost phones. */
void sim_save(struct sim *sim, struct phone *phone);
/* A further phone works with that copy; the phone that it was made of gets it back. */
void sim_copy(struct sim *sim, size_t at);
void sim_old(struct sim *sim, size_t at);
void sim_backup(struct sim *sim);
void sim_restore(struct sim *sim);
void sim_lose(struct sim *sim, struct phone *phone);
/* What is on that phone alone need not be found. */
void sim_forget(struct sim *sim, struct phone *phone);
/* It lost power: pages that it had pulled may be gone, to be fetched again (I1). */
void sim_forget_pages(struct sim *sim, struct phone *phone);

/* user.c */
void user_act(struct sim *sim, struct phone *phone);
void user_move(struct sim *sim, struct phone *phone);
void user_switch(struct sim *sim, struct phone *phone);
void user_delete(struct sim *sim, struct phone *phone);
void user_administer(struct sim *sim, struct phone *phone);
/* Corrects what was refused; how many there were. */
size_t user_repair(struct sim *sim, struct phone *phone);

/* script.c: a world's life told line by line; see README.md. The process's exit code. */
int script_run(struct sim *sim, FILE *file);

/* minimise.c: the smallest list of steps that fails as this one does. Shrinks steps in
 * place, and options; false: it does not fail. */
bool minimise(struct sim *sim, struct sim_options *options, struct sim_step *steps,
              size_t *step_count);
/* A world from its beginning to its end; false: it failed. */
bool sim_run(struct sim *sim, const struct sim_options *options, const struct sim_step *steps,
             size_t step_count);

/* newer_app.c: a device of a newer version, as far as the server sees it. */
void newer_app_act(struct sim *sim);

/* check.c */
void check_world(struct sim *sim);

#endif
