-- The server's store on SQLite, first version.
--
-- Every table that a push writes begins its keys with region_id; a region is
-- self-contained. Ids are 16-byte BLOBs; the global records' region is all
-- zeros. Stamps and digests are 64-bit numbers kept as signed INTEGER. Times are
-- ms since 1970-01-01 UTC by the server's clock; they are shown and never order.

-- The region counters: taking seqs from here inside the write transaction
-- gives them in commit order (I3). records and digest count the living (R24).
CREATE TABLE sync_region(
    region_id BLOB NOT NULL PRIMARY KEY,
    last_seq INTEGER NOT NULL,
    last_hash BLOB NOT NULL,
    records INTEGER NOT NULL,
    digest INTEGER NOT NULL
) WITHOUT ROWID;

-- The records as they are; body is canonical protobuf, past is past.h's.
CREATE TABLE record(
    region_id BLOB NOT NULL,
    family_id BLOB NOT NULL,
    type INTEGER NOT NULL,
    id BLOB NOT NULL,
    seq INTEGER NOT NULL,
    version INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    stamp INTEGER NOT NULL,
    body BLOB NOT NULL,
    past BLOB NOT NULL,
    PRIMARY KEY(region_id, family_id, type, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX record_by_seq ON record(region_id, seq);

-- Every accepted change, for ever, chained by hash (R3).
CREATE TABLE change_log(
    region_id BLOB NOT NULL,
    seq INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    family_id BLOB NOT NULL,
    type INTEGER NOT NULL,
    id BLOB NOT NULL,
    version INTEGER NOT NULL,
    stamp INTEGER NOT NULL,
    mutation_id BLOB NOT NULL,
    device_id BLOB NOT NULL,
    received_at_ms INTEGER NOT NULL,
    hash BLOB NOT NULL,
    mutation BLOB NOT NULL,
    PRIMARY KEY(region_id, seq)
) WITHOUT ROWID;

-- Every mutation id that was ever answered for good, with its status (R1, R11).
-- region_id is the author's enrolment region.
CREATE TABLE mutation(
    region_id BLOB NOT NULL,
    mutation_id BLOB NOT NULL,
    status INTEGER NOT NULL,
    reason INTEGER NOT NULL,
    field INTEGER NOT NULL,
    PRIMARY KEY(region_id, mutation_id)
) WITHOUT ROWID;

-- What could not be accepted, whole (I6, R17); discarded_at_ms 0 means that it
-- waits. A purged one has no bytes left.
CREATE TABLE quarantine(
    region_id BLOB NOT NULL,
    mutation_id BLOB NOT NULL,
    device_id BLOB NOT NULL,
    received_at_ms INTEGER NOT NULL,
    reason INTEGER NOT NULL,
    field INTEGER NOT NULL,
    mutation BLOB NOT NULL,
    discarded_at_ms INTEGER NOT NULL DEFAULT 0,
    discarded_by TEXT NOT NULL DEFAULT '',
    PRIMARY KEY(region_id, mutation_id)
) WITHOUT ROWID;

-- Edits that met on one field (R12); resolved_at_ms 0 means open.
CREATE TABLE conflict(
    region_id BLOB NOT NULL,
    mutation_id BLOB NOT NULL,
    family_id BLOB NOT NULL,
    type INTEGER NOT NULL,
    id BLOB NOT NULL,
    device_id BLOB NOT NULL,
    version INTEGER NOT NULL,
    received_at_ms INTEGER NOT NULL,
    clashes BLOB NOT NULL,
    mutation BLOB NOT NULL,
    resolved_at_ms INTEGER NOT NULL DEFAULT 0,
    resolved_by TEXT NOT NULL DEFAULT '',
    PRIMARY KEY(region_id, mutation_id)
) WITHOUT ROWID;

-- The last 64 receipts of each device, 16 bytes each, newest first (R8).
CREATE TABLE receipt(
    region_id BLOB NOT NULL,
    device_id BLOB NOT NULL,
    receipts BLOB NOT NULL,
    PRIMARY KEY(region_id, device_id)
) WITHOUT ROWID;

-- The family directory: the regions that a family is in (R16).
CREATE TABLE family(
    family_id BLOB NOT NULL,
    region_id BLOB NOT NULL,
    PRIMARY KEY(family_id, region_id)
) WITHOUT ROWID;

-- The families of each facility in each of their regions: those whose root names it
-- (R21).
CREATE TABLE facility_family(
    region_id BLOB NOT NULL,
    facility_id BLOB NOT NULL,
    family_id BLOB NOT NULL,
    PRIMARY KEY(region_id, facility_id, family_id)
) WITHOUT ROWID;

-- That a family entered or left a region; the latest only, in the tail (R16).
-- kind is FamilyMarker.Kind's: 1 left, 2 entered.
CREATE TABLE marker(
    region_id BLOB NOT NULL,
    family_id BLOB NOT NULL,
    seq INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    PRIMARY KEY(region_id, family_id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX marker_by_seq ON marker(region_id, seq);

-- Devices; state 1 is revoked, version counts the changes of a device's standing
-- (standing.h). The tokens are R23's, present and previous; copied_from is the device
-- of whose database this one's is a copy, empty for one that enrolled by a code.
CREATE TABLE device(
    device_id BLOB NOT NULL PRIMARY KEY,
    enrolment_region_id BLOB NOT NULL,
    facility_id BLOB NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    admin INTEGER NOT NULL DEFAULT 0,
    enrolled_at_ms INTEGER NOT NULL,
    last_sync_at_ms INTEGER NOT NULL DEFAULT 0,
    token BLOB NOT NULL DEFAULT x'',
    token_previous BLOB NOT NULL DEFAULT x'',
    version INTEGER NOT NULL DEFAULT 0,
    wipe_ordered_at_ms INTEGER NOT NULL DEFAULT 0,
    wiped_at_ms INTEGER NOT NULL DEFAULT 0,
    public_key BLOB NOT NULL DEFAULT x'',
    copied_from BLOB NOT NULL DEFAULT x''
) WITHOUT ROWID;
CREATE INDEX device_by_origin ON device(copied_from);
-- A copy that asks again with its key, because the answer was lost, is the same device.
CREATE UNIQUE INDEX device_by_copy_key ON device(public_key) WHERE length(copied_from) > 0;

-- The regions beyond its enrolment region that a device may work in (allowed), or
-- was allowed to, and so may still push to (R15).
CREATE TABLE device_region(
    device_id BLOB NOT NULL,
    region_id BLOB NOT NULL,
    allowed INTEGER NOT NULL,
    PRIMARY KEY(device_id, region_id)
) WITHOUT ROWID;

-- Settings over those of the ini file; level as in store.h, the narrower over the
-- wider. id is the region's or the device's; of all devices zeros.
CREATE TABLE setting(
    level INTEGER NOT NULL,
    id BLOB NOT NULL,
    name TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY(level, id, name)
) WITHOUT ROWID;

-- One-time enrolment codes: a public selector and the hash of the secret;
-- region_ids are the ids, one behind the other, of regions that the device may work
-- in beyond the facility's.
CREATE TABLE enrolment(
    selector TEXT NOT NULL PRIMARY KEY,
    secret_hash BLOB NOT NULL,
    facility_id BLOB NOT NULL,
    admin INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    tries_left INTEGER NOT NULL,
    used_by BLOB NOT NULL DEFAULT x'',
    region_ids BLOB NOT NULL DEFAULT x''
) WITHOUT ROWID;

INSERT INTO sync_region(region_id, last_seq, last_hash, records, digest)
    VALUES (zeroblob(16), 0, zeroblob(16), 0, 0);
