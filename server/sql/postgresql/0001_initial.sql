-- The server's store on PostgreSQL, first version.
--
-- Every table that a push writes begins its keys with region_id; a region is
-- self-contained. Ids are uuid, mutation ids too, being 16 bytes; the global
-- records' region is all zeros. Stamps and digests are 64-bit numbers kept as signed
-- bigint. Times are ms since 1970-01-01 UTC by the server's clock; they are shown and
-- never order. No triggers, sequences, foreign keys or volatile functions: the schema
-- is what a distributed PostgreSQL takes.

-- The region counters: taking seqs from here inside the write transaction
-- gives them in commit order (I3). records and digest count the living (R24).
CREATE TABLE sync_region(
    region_id uuid NOT NULL PRIMARY KEY,
    last_seq bigint NOT NULL,
    last_hash bytea NOT NULL,
    records bigint NOT NULL,
    digest bigint NOT NULL
);

-- The records as they are; body is canonical protobuf, past is past.h's.
CREATE TABLE record(
    region_id uuid NOT NULL,
    family_id uuid NOT NULL,
    type integer NOT NULL,
    id uuid NOT NULL,
    seq bigint NOT NULL,
    version bigint NOT NULL,
    deleted boolean NOT NULL,
    stamp bigint NOT NULL,
    body bytea NOT NULL,
    past bytea NOT NULL,
    PRIMARY KEY(region_id, family_id, type, id)
);
CREATE UNIQUE INDEX record_by_seq ON record(region_id, seq);

-- Every accepted change, for ever, chained by hash (R3).
CREATE TABLE change_log(
    region_id uuid NOT NULL,
    seq bigint NOT NULL,
    kind integer NOT NULL,
    family_id uuid NOT NULL,
    type integer NOT NULL,
    id uuid NOT NULL,
    version bigint NOT NULL,
    stamp bigint NOT NULL,
    mutation_id uuid NOT NULL,
    device_id uuid NOT NULL,
    received_at_ms bigint NOT NULL,
    hash bytea NOT NULL,
    mutation bytea NOT NULL,
    PRIMARY KEY(region_id, seq)
);

-- Every mutation id that was ever answered for good, with its status (R1, R11).
-- region_id is the author's enrolment region.
CREATE TABLE mutation(
    region_id uuid NOT NULL,
    mutation_id uuid NOT NULL,
    status integer NOT NULL,
    reason integer NOT NULL,
    field bigint NOT NULL,
    PRIMARY KEY(region_id, mutation_id)
);

-- What could not be accepted, whole (I6, R17); discarded_at_ms 0 means that it
-- waits. A purged one has no bytes left.
CREATE TABLE quarantine(
    region_id uuid NOT NULL,
    mutation_id uuid NOT NULL,
    device_id uuid NOT NULL,
    received_at_ms bigint NOT NULL,
    reason integer NOT NULL,
    field bigint NOT NULL,
    mutation bytea NOT NULL,
    discarded_at_ms bigint NOT NULL DEFAULT 0,
    discarded_by text NOT NULL DEFAULT '',
    PRIMARY KEY(region_id, mutation_id)
);

-- Edits that met on one field (R12); resolved_at_ms 0 means open.
CREATE TABLE conflict(
    region_id uuid NOT NULL,
    mutation_id uuid NOT NULL,
    family_id uuid NOT NULL,
    type integer NOT NULL,
    id uuid NOT NULL,
    device_id uuid NOT NULL,
    version bigint NOT NULL,
    received_at_ms bigint NOT NULL,
    clashes bytea NOT NULL,
    mutation bytea NOT NULL,
    resolved_at_ms bigint NOT NULL DEFAULT 0,
    resolved_by text NOT NULL DEFAULT '',
    PRIMARY KEY(region_id, mutation_id)
);

-- The last 64 receipts of each device, 16 bytes each, newest first (R8).
CREATE TABLE receipt(
    region_id uuid NOT NULL,
    device_id uuid NOT NULL,
    receipts bytea NOT NULL,
    PRIMARY KEY(region_id, device_id)
);

-- The family directory: the regions that a family is in (R16), ascending. One row a
-- family, so that two devices which register one patient in two regions at the same
-- moment meet here.
CREATE TABLE family(
    family_id uuid NOT NULL PRIMARY KEY,
    region_ids uuid[] NOT NULL
);

-- The families of each facility in each of their regions: those whose root names it
-- (R21).
CREATE TABLE facility_family(
    region_id uuid NOT NULL,
    facility_id uuid NOT NULL,
    family_id uuid NOT NULL,
    PRIMARY KEY(region_id, facility_id, family_id)
);

-- That a family entered or left a region; the latest only, in the tail (R16).
-- kind is FamilyMarker.Kind's: 1 left, 2 entered.
CREATE TABLE marker(
    region_id uuid NOT NULL,
    family_id uuid NOT NULL,
    seq bigint NOT NULL,
    kind integer NOT NULL,
    PRIMARY KEY(region_id, family_id)
);
CREATE UNIQUE INDEX marker_by_seq ON marker(region_id, seq);

-- Devices; state 1 is revoked, version counts the changes of a device's standing
-- (standing.h). The tokens are R23's, present and previous; copied_from is the device
-- of whose database this one's is a copy, empty for one that enrolled by a code.
CREATE TABLE device(
    device_id uuid NOT NULL PRIMARY KEY,
    enrolment_region_id uuid NOT NULL,
    facility_id uuid NOT NULL,
    state integer NOT NULL DEFAULT 0,
    admin boolean NOT NULL DEFAULT false,
    enrolled_at_ms bigint NOT NULL,
    last_sync_at_ms bigint NOT NULL DEFAULT 0,
    token bytea NOT NULL DEFAULT '',
    token_previous bytea NOT NULL DEFAULT '',
    version bigint NOT NULL DEFAULT 0,
    wipe_ordered_at_ms bigint NOT NULL DEFAULT 0,
    wiped_at_ms bigint NOT NULL DEFAULT 0,
    public_key bytea NOT NULL DEFAULT '',
    copied_from bytea NOT NULL DEFAULT ''
);
CREATE INDEX device_by_origin ON device(copied_from);
CREATE INDEX device_by_key ON device(public_key);
-- A copy that asks again with its key, because the answer was lost, is the same device.
CREATE UNIQUE INDEX device_by_copy_key ON device(public_key) WHERE length(copied_from) > 0;

-- The regions beyond its enrolment region that a device may work in (allowed), or
-- was allowed to, and so may still push to (R15).
CREATE TABLE device_region(
    device_id uuid NOT NULL,
    region_id uuid NOT NULL,
    allowed boolean NOT NULL,
    PRIMARY KEY(device_id, region_id)
);

-- Settings over those of the ini file; level as in store.h, the narrower over the
-- wider. id is the region's or the device's; of all devices zeros.
CREATE TABLE setting(
    level integer NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    value bigint NOT NULL,
    PRIMARY KEY(level, id, name)
);

-- One-time enrolment codes: a public selector and the hash of the secret;
-- region_ids are the ids, one behind the other, of regions that the device may work
-- in beyond the facility's.
CREATE TABLE enrolment(
    selector text NOT NULL PRIMARY KEY,
    secret_hash bytea NOT NULL,
    facility_id uuid NOT NULL,
    admin boolean NOT NULL,
    expires_at_ms bigint NOT NULL,
    tries_left integer NOT NULL,
    used_by bytea NOT NULL DEFAULT '',
    region_ids bytea NOT NULL DEFAULT ''
);

-- The CA of all servers of this database, PEM; see authority.h. One row.
CREATE TABLE authority(
    one integer NOT NULL PRIMARY KEY CHECK (one = 1),
    certificate text NOT NULL,
    key text NOT NULL
);

INSERT INTO sync_region(region_id, last_seq, last_hash, records, digest)
    VALUES ('00000000-0000-0000-0000-000000000000', 0,
        '\x00000000000000000000000000000000', 0, 0);
