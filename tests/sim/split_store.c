/* SPDX-License-Identifier: Apache-2.0
 *
 * See split_store.h. Requests wait here and are executed by the store beneath one step
 * at a time; what a late region's readers are told comes from its view.
 */
#include "split_store.h"

#include "store_queue.h"
#include "store_sqlite.h"

#include <assert.h>
#include <stdlib.h>

enum {
    /* One in so many: of a commit's halves, how many are late; of steps, how many make
     * one visible; of pushes that wait for one, how many give up. */
    LATE_ONE_IN = 2,
    SEEN_ONE_IN = 24,
    BUSY_ONE_IN = 4,
};

/* How a region looked before the commit that is under way, or late. */
struct view {
    struct record_uuid region_id;
    struct sqlite_conn conn; /* in a read snapshot then */
    struct store_head head;
    uint64_t newest; /* its newest seq, whoever sees it */
    bool late;
    bool written; /* by the commit under way */
};

struct split_store {
    struct store base;
    struct store *inner;
    struct store_step inner_step; /* what it does next */
    struct store_options options;
    struct store_steps steps;
    struct split_options split;
    struct store_queue writes, reads, completed;
    struct sqlite_conn newest;
    struct view views[SPLIT_REGIONS_MAX];
    size_t view_count;
    bool mended;
    struct split_counts counts;
};

static bool chance(struct split_store *self, uint64_t one_in)
{
    return self->split.below(self->split.context, one_in) == 0;
}

/* ---- Views ------------------------------------------------------------------------ */

static struct view *view_of(struct split_store *self, const struct record_uuid *region_id)
{
    for (size_t i = 0; i < self->view_count; i++)
        if (record_uuid_compare(&self->views[i].region_id, region_id) == 0)
            return &self->views[i];
    return NULL;
}

static struct view *late_view(struct split_store *self, const struct record_uuid *region_id)
{
    struct view *view = view_of(self, region_id);

    return view != NULL && view->late ? view : NULL;
}

static void show(struct view *view)
{
    sqlite_conn_rollback(&view->conn);
    view->late = false;
}

static size_t count_late(const struct split_store *self)
{
    size_t count = 0;

    for (size_t i = 0; i < self->view_count; i++)
        count += self->views[i].late;
    return count;
}

/* Whoever needs the region's newest state has waited for it: there is no view of it. */
static struct view *wait_for(struct split_store *self, const struct record_uuid *region_id)
{
    struct view *view = late_view(self, region_id);

    if (view != NULL) {
        show(view);
        self->counts.waited++;
    }
    return NULL;
}

static void show_some(struct split_store *self)
{
    size_t late = count_late(self);

    if (late == 0 || !chance(self, SEEN_ONE_IN))
        return;
    size_t at = (size_t)self->split.below(self->split.context, late);
    for (size_t i = 0; i < self->view_count; i++)
        if (self->views[i].late && at-- == 0)
            show(&self->views[i]);
}

static bool read_newest(struct split_store *self)
{
    bool good = sqlite_conn_begin(&self->newest, false) == SQLITE_OK;
    struct store_head head;

    for (size_t i = 0; i < self->view_count && good; i++) {
        struct view *view = &self->views[i];
        good = sqlite_read_head(&self->newest, &view->region_id, &head) == SQLITE_OK;
        view->written = good && head.last.seq != view->newest;
        view->newest = head.last.seq;
    }
    sqlite_conn_rollback(&self->newest);
    return good;
}

/* Before a commit: how the regions look that are not late already. */
static bool look_before(struct split_store *self)
{
    bool good = read_newest(self);

    for (size_t i = 0; i < self->view_count; i++) {
        struct view *view = &self->views[i];
        if (!view->late)
            good = good && sqlite_conn_begin(&view->conn, false) == SQLITE_OK &&
                   sqlite_read_head(&view->conn, &view->region_id, &view->head) == SQLITE_OK;
    }
    return good;
}

/* A region is written where its log has grown, and where authors are enrolled: their
 * receipts and mutation ids are kept there. */
static bool find_written(struct split_store *self, struct store_request *const *pushes,
                         size_t count)
{
    bool good = read_newest(self);

    for (size_t i = 0; i < count; i++) {
        const struct store_push *push = (const struct store_push *)pushes[i];
        struct view *home = view_of(self, &push->batch->device.enrolment_region);
        if (rpc_ok(&push->request.status) && push->refusal.why == STANDING_ADMITTED && home != NULL)
            home->written = true;
    }
    return good;
}

/* After a commit: at least one of the regions that it wrote shows it at once. One that
 * was late has been waited for. */
static void split(struct split_store *self, bool good)
{
    size_t written = 0, late = 0;

    for (size_t i = 0; i < self->view_count; i++)
        written += self->views[i].written;
    for (size_t i = 0; i < self->view_count; i++) {
        struct view *view = &self->views[i];
        if (view->late && view->written)
            wait_for(self, &view->region_id);
        else if (!view->late && good && !self->mended && view->written && late + 1 < written &&
                 chance(self, LATE_ONE_IN))
            view->late = true;
        if (!view->late)
            show(view);
        else if (view->written)
            late++;
    }
    self->counts.late += (unsigned)late;
}

/* ---- The store beneath ------------------------------------------------------------- */

static struct store_step next_inner(void *context, const struct store_waiting *waiting)
{
    (void)waiting;
    return ((struct split_store *)context)->inner_step;
}

static void executed(struct store_request *request)
{
    (void)request; /* it is told when its own turn comes */
}

/* At once, in one transaction if they are writes; done() is not called. */
static void execute(struct split_store *self, struct store_request *const *requests, size_t count,
                    bool writes)
{
    void (*done[STORE_STEP_WRITES_MAX])(struct store_request *) = {NULL};

    for (size_t i = 0; i < count; i++) {
        done[i] = requests[i]->done;
        requests[i]->done = executed;
        store_submit(self->inner, requests[i]);
    }
    self->inner_step = writes ? (struct store_step){STORE_STEP_WRITES, count}
                              : (struct store_step){STORE_STEP_READ, 0};
    store_drain(self->inner);
    self->inner_step = (struct store_step){STORE_STEP_TELL, count};
    store_drain(self->inner);
    for (size_t i = 0; i < count; i++)
        requests[i]->done = done[i];
}

/* ---- Pushes ------------------------------------------------------------------------- */

/* R10: the counters that it locks: where the author is enrolled and works, and where
 * the families are. False: one is late, and it does not wait. */
static bool lock(struct split_store *self, const struct record_uuid *region_id)
{
    if (late_view(self, region_id) == NULL)
        return true;
    if (chance(self, BUSY_ONE_IN))
        return false;
    wait_for(self, region_id);
    return true;
}

static bool lock_family(struct split_store *self, const struct record_uuid *family)
{
    sqlite3_stmt *regions =
        sqlite_conn_statement(&self->newest, "SELECT region_id FROM family WHERE family_id = ?1");
    bool good = regions != NULL;

    if (!good)
        return false;
    sqlite_bind_uuid(regions, 1, family);
    while (good && sqlite3_step(regions) == SQLITE_ROW) {
        struct record_uuid region = sqlite_column_uuid(regions, 0);
        good = lock(self, &region);
    }
    sqlite3_reset(regions);
    return good;
}

static bool lock_all(struct split_store *self, const struct push_batch *batch)
{
    bool good = lock(self, &batch->device.enrolment_region) && lock(self, &batch->device.region);

    if (count_late(self) == 0)
        return good;
    good = good && sqlite_conn_begin(&self->newest, false) == SQLITE_OK;
    for (size_t i = 0; i < batch->item_count && good; i++)
        if (batch->items[i].parsed)
            good = lock_family(self, &batch->items[i].mutation->key.family);
    sqlite_conn_rollback(&self->newest);
    return good;
}

static void run_pushes(struct split_store *self, struct store_request *const *requests,
                       size_t count)
{
    struct store_request *locked[STORE_STEP_WRITES_MAX] = {NULL};
    size_t locked_count = 0;

    for (size_t i = 0; i < count; i++) {
        if (lock_all(self, ((struct store_push *)requests[i])->batch)) {
            locked[locked_count++] = requests[i];
            continue;
        }
        requests[i]->status = rpc_status_make(RPC_UNAVAILABLE, "the store is busy; try later");
        self->counts.busy++;
    }
    if (locked_count == 0)
        return;
    bool good = look_before(self);
    execute(self, locked, locked_count, true);
    good = good && find_written(self, locked, locked_count);
    split(self, good);
}

/* ---- CaughtUp ------------------------------------------------------------------------ */

/* The heads that the device can see decide, not the newest ones. */
static void run_caught_up(struct split_store *self, struct store_caught_up *caught_up)
{
    struct store_request *request = &caught_up->request;
    struct store_place places[2];
    struct store_head heads[2];
    int code = SQLITE_OK;

    memcpy(places, caught_up->places, sizeof places);
    for (size_t i = 0; i < caught_up->region_count && code == SQLITE_OK; i++) {
        struct view *view = late_view(self, &caught_up->regions[i]);
        if (view == NULL)
            continue;
        code = sqlite_read_head_without(&view->conn, &view->region_id, caught_up->withheld,
                                        caught_up->withheld_count, &heads[i]);
        if (places[i].seq >= heads[i].last.seq)
            caught_up->places[i].seq = INT64_MAX;
    }
    if (code != SQLITE_OK) {
        request->status = sqlite_conn_status(&self->newest, code);
        return;
    }
    execute(self, &request, 1, true);
    memcpy(caught_up->places, places, sizeof places);
    for (size_t i = 0; i < caught_up->region_count; i++)
        if (late_view(self, &caught_up->regions[i]) != NULL)
            caught_up->heads[i] = heads[i];
}

/* ---- Reads ---------------------------------------------------------------------------- */

static void run_page(struct split_store *self, struct store_page *page)
{
    struct store_request *request = &page->request;
    struct view *view = late_view(self, &page->region_id);

    if (view != NULL && view->head.last.seq < page->known_seq)
        view = wait_for(self, &page->region_id);
    if (view == NULL)
        execute(self, &request, 1, false);
    else
        request->status = sqlite_conn_status(
            &view->conn, sqlite_read_page(&view->conn, &self->options.roles, page));
}

static void run_heads(struct split_store *self, struct store_heads *heads)
{
    struct store_request *request = &heads->request;
    int code = SQLITE_OK;

    execute(self, &request, 1, false);
    for (size_t i = 0; i < heads->head_count && code == SQLITE_OK; i++) {
        struct view *view = late_view(self, &heads->heads[i].region_id);
        if (view != NULL)
            heads->heads[i] = view->head;
    }
}

/* Whether all that the device was told in the region is seen there. */
static bool shows_all(const struct view *view, const struct store_hello *hello,
                      const struct store_hello *seen)
{
    bool all = true;

    if (record_uuid_compare(&view->region_id, &hello->device.enrolment_region) == 0)
        all = seen->receipt_known || !hello->receipt_known;
    for (size_t i = 0; i < hello->place_count; i++)
        if (record_uuid_compare(&view->region_id, &hello->places[i].region_id) == 0)
            all = all && (seen->places[i].known || !hello->places[i].known);
    return all;
}

/* What the late region shows of it. */
static int look_again(struct split_store *self, struct view *view, const struct store_hello *asked,
                      struct store_hello *hello)
{
    struct store_hello seen = *asked;
    int code = sqlite_read_hello(&view->conn, &self->options.roles, &seen);

    if (code != SQLITE_OK)
        return code;
    if (!shows_all(view, hello, &seen))
        view = wait_for(self, &view->region_id);
    for (size_t i = 0; view != NULL && i < hello->head_count && i < seen.head_count; i++)
        if (record_uuid_compare(&view->region_id, &hello->heads[i].region_id) == 0)
            hello->heads[i] = seen.heads[i];
    return SQLITE_OK;
}

static void run_hello(struct split_store *self, struct store_hello *hello)
{
    struct store_request *request = &hello->request;
    struct store_hello asked = *hello;
    int code = SQLITE_OK;

    execute(self, &request, 1, false);
    if (!rpc_ok(&request->status) || !hello->device_known)
        return;
    for (size_t i = 0; i < self->view_count && code == SQLITE_OK; i++)
        if (self->views[i].late)
            code = look_again(self, &self->views[i], &asked, hello);
    request->status = sqlite_conn_status(&self->newest, code);
}

static void run_read(struct split_store *self, struct store_request *request)
{
    switch (request->kind) {
    case STORE_PAGE:
        run_page(self, (struct store_page *)request);
        break;
    case STORE_HEADS:
        run_heads(self, (struct store_heads *)request);
        break;
    case STORE_HELLO:
        run_hello(self, (struct store_hello *)request);
        break;
    default:
        execute(self, &request, 1, false);
        break;
    }
}

/* ---- The engine -------------------------------------------------------------------------- */

static void split_submit(struct store *base, struct store_request *request)
{
    struct split_store *self = (struct split_store *)base;

    store_queue_put(store_is_write(request->kind) ? &self->writes : &self->reads, request);
}

/* The oldest n; pushes that stand one behind the other share a transaction. */
static void step_writes(struct split_store *self, size_t n)
{
    while (n > 0) {
        struct store_request *requests[STORE_STEP_WRITES_MAX] = {store_queue_take(&self->writes)};
        size_t count = 1;
        while (count < n && requests[0]->kind == STORE_PUSH && self->writes.first != NULL &&
               self->writes.first->kind == STORE_PUSH)
            requests[count++] = store_queue_take(&self->writes);
        if (requests[0]->kind == STORE_PUSH)
            run_pushes(self, requests, count);
        else if (requests[0]->kind == STORE_CAUGHT_UP)
            run_caught_up(self, (struct store_caught_up *)requests[0]);
        else
            execute(self, requests, 1, true);
        for (size_t i = 0; i < count; i++)
            store_queue_put(&self->completed, requests[i]);
        n -= count;
    }
}

static void step_read(struct split_store *self, size_t at)
{
    size_t count = self->reads.count;

    assert(at < count);
    for (size_t i = 0; i < count; i++) {
        struct store_request *next = store_queue_take(&self->reads);
        if (i == at)
            run_read(self, next);
        store_queue_put(i == at ? &self->completed : &self->reads, next);
    }
}

static void tell(struct split_store *self, size_t n)
{
    assert(n <= self->completed.count);
    for (; n > 0; n--) {
        struct store_request *request = store_queue_take(&self->completed);
        request->done(request);
    }
}

static void split_drain(struct store *base)
{
    struct split_store *self = (struct split_store *)base;
    struct store_waiting waiting = {self->writes.count, self->reads.count, self->completed.count};

    if (waiting.writes + waiting.reads + waiting.completed == 0)
        return;
    show_some(self);
    struct store_step step = self->steps.next(self->steps.context, &waiting);
    if (step.kind == STORE_STEP_WRITES)
        step_writes(self, step.n);
    else if (step.kind == STORE_STEP_READ)
        step_read(self, step.n);
    else
        tell(self, step.n);
}

static void split_wait(struct store *base)
{
    (void)base; /* drain executes; there is nobody to wait for */
}

static void refuse_all(struct split_store *self, struct store_queue *queue)
{
    struct store_request *request;

    while ((request = store_queue_take(queue)) != NULL) {
        request->status = rpc_status_make(RPC_UNAVAILABLE, "the store is closed; try later");
        store_queue_put(&self->completed, request);
    }
}

/* Also the error path of opening. */
static void split_close(struct store *base)
{
    struct split_store *self = (struct split_store *)base;

    while (self->writes.count + self->reads.count + self->completed.count > 0) {
        refuse_all(self, &self->writes);
        refuse_all(self, &self->reads);
        tell(self, self->completed.count);
    }
    for (size_t i = 0; i < self->view_count; i++)
        sqlite_conn_close(&self->views[i].conn);
    sqlite_conn_close(&self->newest);
    store_close(self->inner);
    free(self);
}

static const struct store_engine split_engine = {
    .submit = split_submit,
    .drain = split_drain,
    .wait = split_wait,
    .close = split_close,
};

struct rpc_status split_store_open(const char *file, const struct store_options *options,
                                   const struct store_steps *steps,
                                   const struct split_options *split, struct store **store_out)
{
    struct split_store *self = calloc(1, sizeof *self);

    if (self == NULL)
        return rpc_status_make(RPC_UNAVAILABLE, "open the store: out of memory");
    self->base.engine = &split_engine;
    self->options = *options;
    self->steps = *steps;
    self->split = *split;
    store_queue_init(&self->writes);
    store_queue_init(&self->reads);
    store_queue_init(&self->completed);
    struct store_steps inner_steps = {next_inner, self};
    struct rpc_status status =
        store_sqlite_open_stepped(file, false, options, &inner_steps, &self->inner);
    if (rpc_ok(&status))
        status = sqlite_conn_open(&self->newest, file, false);
    assert(split->region_count <= SPLIT_REGIONS_MAX);
    for (size_t i = 0; i < split->region_count && rpc_ok(&status); i++) {
        self->views[self->view_count] = (struct view){.region_id = split->regions[i]};
        status = sqlite_conn_open(&self->views[self->view_count++].conn, file, false);
    }
    if (rpc_ok(&status))
        *store_out = &self->base;
    else
        split_close(&self->base);
    return status;
}

void split_store_mend(struct store *base)
{
    struct split_store *self = (struct split_store *)base;

    self->mended = true;
    for (size_t i = 0; i < self->view_count; i++)
        show(&self->views[i]);
}

bool split_store_is_late(const struct store *base, const struct record_uuid *region_id,
                         uint64_t *head_out)
{
    const struct split_store *self = (const struct split_store *)base;

    for (size_t i = 0; i < self->view_count; i++)
        if (self->views[i].late && record_uuid_compare(&self->views[i].region_id, region_id) == 0) {
            *head_out = self->views[i].head.last.seq;
            return true;
        }
    return false;
}

struct split_counts split_store_counts(const struct store *base)
{
    return ((const struct split_store *)base)->counts;
}
