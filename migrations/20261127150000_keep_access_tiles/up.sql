-- Full tiles of the access log, so that a proof reads a few rows however long that log is. They are hashes of hashes:
-- anybody may see them.

CREATE TABLE vault.access_tile (
    level smallint NOT NULL CHECK (level BETWEEN 0 AND 63),
    n bigint NOT NULL CHECK (n >= 0),
    hashes bytea NOT NULL CHECK (octet_length(hashes) = 8192),
    PRIMARY KEY (level, n)
);
COMMENT ON TABLE vault.access_tile IS 'Full tiles only; a partial tile is a prefix, answered from leaf hashes and the tiles below.';

CREATE TRIGGER append_only_rows BEFORE UPDATE OR DELETE ON vault.access_tile
    FOR EACH ROW EXECUTE FUNCTION vault.refuse_change();
ALTER TABLE vault.access_tile ENABLE ALWAYS TRIGGER append_only_rows;
CREATE TRIGGER append_only_table BEFORE TRUNCATE ON vault.access_tile
    FOR EACH STATEMENT EXECUTE FUNCTION vault.refuse_change();
ALTER TABLE vault.access_tile ENABLE ALWAYS TRIGGER append_only_table;

CREATE POLICY service ON vault.access_tile USING (vault.acting_role() = 'service');
CREATE POLICY anybody ON vault.access_tile FOR SELECT USING (true);

ALTER TABLE vault.access_tile OWNER TO chopmark_owner;
ALTER TABLE vault.access_tile ENABLE ROW LEVEL SECURITY;
ALTER TABLE vault.access_tile FORCE ROW LEVEL SECURITY;

GRANT SELECT, INSERT ON vault.access_tile TO chopmark_vault;
