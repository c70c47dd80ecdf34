-- There is no way back: dropping the ledger is not a schema change.
DO $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only and is never dropped by a migration; restore a backup into a new database instead';
END
$$;
