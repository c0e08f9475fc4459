-- Mutation ids lie by family, as records do: what one device pushes is then written to a few
-- pages, however many ids there are. family_id is the one that the mutation names; zeros: a
-- global record's, a malformed mutation's, or one from before this migration.
ALTER TABLE mutation RENAME TO mutation_before;
CREATE TABLE mutation(
    region_id BLOB NOT NULL,
    family_id BLOB NOT NULL,
    mutation_id BLOB NOT NULL,
    status INTEGER NOT NULL,
    reason INTEGER NOT NULL,
    field INTEGER NOT NULL,
    PRIMARY KEY(region_id, family_id, mutation_id)
) WITHOUT ROWID;
INSERT INTO mutation(region_id, mutation_id, status, reason, field, family_id)
    SELECT region_id, mutation_id, status, reason, field, zeroblob(16) FROM mutation_before
    ORDER BY region_id, mutation_id;
DROP TABLE mutation_before;
