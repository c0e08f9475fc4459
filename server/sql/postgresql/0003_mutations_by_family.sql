-- Mutation ids lie by family, as records do: what one device pushes is then written to a few
-- pages, however many ids there are. family_id is the one that the mutation names; zeros: a
-- global record's, a malformed mutation's, or one from before this migration.
ALTER TABLE mutation ADD COLUMN family_id uuid NOT NULL
    DEFAULT '00000000-0000-0000-0000-000000000000';
ALTER TABLE mutation ALTER COLUMN family_id DROP DEFAULT;
ALTER TABLE mutation DROP CONSTRAINT mutation_pkey;
ALTER TABLE mutation ADD PRIMARY KEY (region_id, family_id, mutation_id);
