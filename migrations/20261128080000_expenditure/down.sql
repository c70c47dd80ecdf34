-- A ledger is not migrated down: take the older version's database from a backup.
DO $$ BEGIN RAISE EXCEPTION 'this step can''t be undone'; END $$;
