-- The tables of sql/postgresql over a Citus cluster (12 or later). Run after the
-- migrations; what is spread already is left alone, so that a table which a later
-- migration makes is spread by the next run.
--
-- A region's rows are on one shard group: a push is one transaction of one worker.
-- The family directory is spread by family; what every node reads is everywhere.

SELECT create_distributed_table('sync_region', 'region_id', colocate_with => 'none')
    WHERE NOT EXISTS (SELECT 1 FROM pg_dist_partition WHERE logicalrelid = 'sync_region'::regclass);
SELECT create_distributed_table(name, 'region_id', colocate_with => 'sync_region')
    FROM (VALUES ('record'), ('change_log'), ('mutation'), ('quarantine'), ('conflict'),
        ('receipt'), ('marker'), ('facility_family')) AS spread(name)
    WHERE NOT EXISTS (SELECT 1 FROM pg_dist_partition WHERE logicalrelid = name::regclass);
SELECT create_distributed_table('family', 'family_id', colocate_with => 'none')
    WHERE NOT EXISTS (SELECT 1 FROM pg_dist_partition WHERE logicalrelid = 'family'::regclass);
SELECT create_reference_table(name)
    FROM (VALUES ('device'), ('device_region'), ('setting'), ('enrolment'), ('authority'), ('schema_migration'),
        ('rollout'), ('rollout_switch'), ('rollout_device'))
        AS everywhere(name)
    WHERE NOT EXISTS (SELECT 1 FROM pg_dist_partition WHERE logicalrelid = name::regclass);
