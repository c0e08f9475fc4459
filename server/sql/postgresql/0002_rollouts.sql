-- Rollouts of schema revisions (rollout.h), and what is known of devices for them.

-- Living records and digest of each record type; see type_sums.h.
ALTER TABLE sync_region ADD COLUMN type_sums bytea NOT NULL DEFAULT '';

-- What the device said of itself, when it was heard of last, and its syncs since a
-- rollout was last changed.
ALTER TABLE device ADD COLUMN schema_revision bigint NOT NULL DEFAULT 0;
ALTER TABLE device ADD COLUMN app_version text NOT NULL DEFAULT '';
ALTER TABLE device ADD COLUMN last_seen_at_ms bigint NOT NULL DEFAULT 0;
ALTER TABLE device ADD COLUMN syncs bigint NOT NULL DEFAULT 0;
ALTER TABLE device ADD COLUMN failed_syncs bigint NOT NULL DEFAULT 0;
ALTER TABLE device ADD COLUMN rejected_syncs bigint NOT NULL DEFAULT 0;

-- scope_id is the region of enrolment whose devices it is about, zeros: of all others.
-- steps are the shares that it had, 4 bytes big-endian each; the last one holds.
-- version counts the changes.
CREATE TABLE rollout(
    revision bigint NOT NULL,
    scope_id uuid NOT NULL,
    minimum bigint NOT NULL,
    halt_above bigint NOT NULL,
    halted boolean NOT NULL,
    steps bytea NOT NULL,
    version bigint NOT NULL,
    changed_at_ms bigint NOT NULL,
    changed_by text NOT NULL,
    PRIMARY KEY(revision, scope_id)
);

-- What a rollout withholds from devices outside of it; field 0: the whole type.
CREATE TABLE rollout_switch(
    revision bigint NOT NULL,
    type bigint NOT NULL,
    field bigint NOT NULL,
    PRIMARY KEY(revision, type, field)
);

-- Devices that are in a rollout by name.
CREATE TABLE rollout_device(
    revision bigint NOT NULL,
    device_id uuid NOT NULL,
    PRIMARY KEY(revision, device_id)
);
