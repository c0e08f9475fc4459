-- Rollouts of schema revisions (rollout.h), and what is known of devices for them.

-- Living records and digest of each record type; see type_sums.h.
ALTER TABLE sync_region ADD COLUMN type_sums BLOB NOT NULL DEFAULT x'';

-- What the device said of itself, when it was heard of last, and its syncs since a
-- rollout was last changed.
ALTER TABLE device ADD COLUMN schema_revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device ADD COLUMN app_version TEXT NOT NULL DEFAULT '';
ALTER TABLE device ADD COLUMN last_seen_at_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device ADD COLUMN syncs INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device ADD COLUMN failed_syncs INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device ADD COLUMN rejected_syncs INTEGER NOT NULL DEFAULT 0;

-- scope_id is the region of enrolment whose devices it is about, zeros: of all others.
-- steps are the shares that it had, 4 bytes big-endian each; the last one holds.
-- version counts the changes.
CREATE TABLE rollout(
    revision INTEGER NOT NULL,
    scope_id BLOB NOT NULL,
    minimum INTEGER NOT NULL,
    halt_above INTEGER NOT NULL,
    halted INTEGER NOT NULL,
    steps BLOB NOT NULL,
    version INTEGER NOT NULL,
    changed_at_ms INTEGER NOT NULL,
    changed_by TEXT NOT NULL,
    PRIMARY KEY(revision, scope_id)
) WITHOUT ROWID;

-- What a rollout withholds from devices outside of it; field 0: the whole type.
CREATE TABLE rollout_switch(
    revision INTEGER NOT NULL,
    type INTEGER NOT NULL,
    field INTEGER NOT NULL,
    PRIMARY KEY(revision, type, field)
) WITHOUT ROWID;

-- Devices that are in a rollout by name.
CREATE TABLE rollout_device(
    revision INTEGER NOT NULL,
    device_id BLOB NOT NULL,
    PRIMARY KEY(revision, device_id)
) WITHOUT ROWID;
