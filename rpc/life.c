/* SPDX-License-Identifier: Apache-2.0
 *
 * Nothing here needs a timer of its own: every moment is computed from notes, and
 * a tick that comes early does nothing. A connection that reached its age or was
 * idle is drained (session_submit_drain); age alone ends it for good, after its
 * grace.
 */
#include "connection.h"

static int64_t earlier(int64_t a_ms, int64_t b_ms)
{
    if (a_ms < 0 || b_ms < 0)
        return a_ms < 0 ? b_ms : a_ms;
    return a_ms < b_ms ? a_ms : b_ms;
}

/* ---- Birth --------------------------------------------------------------------- */

static void init_common(rpc_conn *conn)
{
    conn->life = (struct life){
        .age_due_ms = -1,
        .moved_ms = conn->now_ms,
        .probed_ms = -1,
        .pinged_ms = -1,
        .calls_ended_ms = conn->now_ms,
        .drained_ms = -1,
    };
}

static int64_t spread(int64_t age_ms, const struct rpc_random *random)
{
    int64_t range_ms = age_ms / LIFE_AGE_SPREAD;

    if (random->next == NULL || range_ms == 0)
        return age_ms;
    return age_ms - range_ms + (int64_t)(random->next(random->context) % (2 * (uint64_t)range_ms));
}

void life_init_server(rpc_conn *conn, const struct rpc_server_options *options)
{
    struct life *life = &conn->life;

    init_common(conn);
    life->keepalive_time_ms = options->keepalive_time_ms;
    life->keepalive_timeout_ms = options->keepalive_timeout_ms;
    life->ping_interval_min_ms = options->ping_interval_min_ms;
    life->idle_ms = options->connection_idle_ms;
    life->grace_ms = options->connection_age_grace_ms;
    if (options->connection_age_ms > 0)
        life->age_due_ms = conn->now_ms + spread(options->connection_age_ms, &options->random);
}

void life_init_client(rpc_conn *conn, const struct rpc_client_options *options)
{
    init_common(conn);
    conn->life.keepalive_time_ms = options->keepalive_time_ms;
    conn->life.keepalive_timeout_ms = options->keepalive_timeout_ms;
}

/* ---- PINGs of the peer ------------------------------------------------------------ */

bool life_take_ping(rpc_conn *conn)
{
    struct life *life = &conn->life;
    int64_t interval_ms = conn->call_count > 0 ? life->ping_interval_min_ms : LIFE_IDLE_PING_MS;
    bool early = life->pinged_ms >= 0 && conn->now_ms - life->pinged_ms < interval_ms;

    life->pinged_ms = conn->now_ms;
    if (life->ping_interval_min_ms == 0 || !early)
        return true;
    return ++life->strikes <= LIFE_PING_STRIKES_MAX;
}

void life_note_sent(rpc_conn *conn)
{
    conn->life.pinged_ms = -1;
    conn->life.strikes = 0;
}

/* ---- Time -------------------------------------------------------------------------- */

/* A client asks only while it awaits something. */
static bool keeps_alive(const rpc_conn *conn)
{
    return conn->life.keepalive_time_ms > 0 && conn->state == CONN_OPEN &&
           (conn->role->server || conn->call_count > 0);
}

static int64_t keepalive_due_ms(const rpc_conn *conn)
{
    const struct life *life = &conn->life;

    if (!keeps_alive(conn))
        return -1;
    return life->probed_ms >= 0 ? life->probed_ms + life->keepalive_timeout_ms
                                : life->moved_ms + life->keepalive_time_ms;
}

static int64_t idle_due_ms(const rpc_conn *conn)
{
    const struct life *life = &conn->life;
    bool idle = life->idle_ms > 0 && conn->state == CONN_OPEN && conn->call_count == 0;

    return idle && !conn->draining ? life->calls_ended_ms + life->idle_ms : -1;
}

static int64_t age_due_ms(const rpc_conn *conn)
{
    const struct life *life = &conn->life;

    if (life->drained_ms >= 0)
        return life->drained_ms + life->grace_ms;
    return conn->draining ? -1 : life->age_due_ms;
}

int64_t life_due_ms(const rpc_conn *conn)
{
    if (conn->state != CONN_OPEN)
        return -1;
    return earlier(keepalive_due_ms(conn), earlier(idle_due_ms(conn), age_due_ms(conn)));
}

static bool passed(const rpc_conn *conn, int64_t due_ms)
{
    return due_ms >= 0 && conn->now_ms >= due_ms;
}

static void tick_keepalive(rpc_conn *conn)
{
    struct life *life = &conn->life;

    if (!passed(conn, keepalive_due_ms(conn)))
        return;
    if (life->probed_ms >= 0) {
        conn_end(conn, rpc_status_make(
                           RPC_UNAVAILABLE, "nothing came from the peer in %lld ms",
                           (long long)(life->keepalive_time_ms + life->keepalive_timeout_ms)));
        conn_drop_out(conn);
        return;
    }
    life->probed_ms = conn->now_ms;
    nghttp2_submit_ping(conn->session, NGHTTP2_FLAG_NONE, NULL);
}

void life_tick(rpc_conn *conn)
{
    struct life *life = &conn->life;

    tick_keepalive(conn);
    if (passed(conn, idle_due_ms(conn)))
        rpc_conn_drain(conn);
    if (conn->state != CONN_OPEN || !passed(conn, age_due_ms(conn)))
        return;
    if (life->drained_ms < 0) {
        life->drained_ms = conn->now_ms;
        rpc_conn_drain(conn);
    } else {
        conn_end_with_goaway(conn, NGHTTP2_NO_ERROR, "max_age",
                             rpc_status_make(RPC_UNAVAILABLE, "the connection is too old"));
    }
}
