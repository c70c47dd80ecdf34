-- Schema vault: openings of sealed fields, tokens, and who has read what.
--
-- Grants say which tables the service may touch; row security says which rows, by who is acting in this transaction: a
-- query that forgot to say so sees nothing. The service's role neither owns the tables nor bypasses row security, and
-- FORCE binds the owner, too. Values are encrypted under keys that are not in this database.

CREATE FUNCTION vault.acting_role() RETURNS text LANGUAGE sql STABLE
    AS $$ SELECT coalesce(current_setting('chopmark.role', true), '') $$;
CREATE FUNCTION vault.acting_for() RETURNS text LANGUAGE sql STABLE
    AS $$ SELECT coalesce(current_setting('chopmark.bound_to', true), '') $$;
CREATE FUNCTION vault.acting_token() RETURNS text LANGUAGE sql STABLE
    AS $$ SELECT coalesce(current_setting('chopmark.token', true), '') $$;

CREATE FUNCTION vault.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'vault.% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TABLE vault.wrapping_key (
    id text PRIMARY KEY,
    made_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz
);
COMMENT ON TABLE vault.wrapping_key IS 'Names of master keys; the keys themselves are in a file of the service or in its environment.';

CREATE TABLE vault.opening (
    statement bytea NOT NULL CHECK (octet_length(statement) = 32),
    field text NOT NULL,
    position integer NOT NULL,
    zone text NOT NULL,
    retained_until timestamptz NOT NULL,
    key_id text REFERENCES vault.wrapping_key,
    wrapped_key bytea,
    sealed bytea,
    erased_by bigint,
    PRIMARY KEY (statement, field),
    CHECK (erased_by IS NULL AND num_nonnulls(key_id, wrapped_key, sealed) = 3
        OR erased_by IS NOT NULL AND num_nonnulls(key_id, wrapped_key, sealed) = 0)
);
CREATE INDEX opening_key ON vault.opening (key_id) WHERE key_id IS NOT NULL;
COMMENT ON COLUMN vault.opening.sealed IS 'Salt and value, XChaCha20-Poly1305 under a data key of its own; gone once erased.';
COMMENT ON COLUMN vault.opening.wrapped_key IS 'The data key, XChaCha20-Poly1305 under a master key; gone once erased.';
COMMENT ON COLUMN vault.opening.erased_by IS 'Index of the entry that had it destroyed.';

CREATE TABLE vault.reader (
    statement bytea NOT NULL,
    party bytea NOT NULL,
    jurisdiction text,
    PRIMARY KEY (statement, party)
);
CREATE INDEX reader_party ON vault.reader (party);
COMMENT ON TABLE vault.reader IS 'Parties that may read the openings of a statement, and where they are established.';

CREATE TABLE vault.token (
    id text PRIMARY KEY,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    role text NOT NULL,
    bound_to text NOT NULL,
    scopes text[] NOT NULL,
    name text NOT NULL,
    made_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX token_expiry ON vault.token (expires_at);
COMMENT ON COLUMN vault.token.hash IS 'SHA-256 of the whole token.';

CREATE TABLE vault.challenge (
    id text PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX challenge_expiry ON vault.challenge (expires_at);

CREATE TABLE vault.access (
    id bytea PRIMARY KEY CHECK (octet_length(id) = 16),
    statement bytea NOT NULL,
    role text NOT NULL,
    bound_to text NOT NULL,
    token text NOT NULL,
    body bytea NOT NULL CHECK (octet_length(body) <= 65535),
    shown_from timestamptz NOT NULL,
    transaction xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX access_statement ON vault.access (statement, transaction);
COMMENT ON TABLE vault.access IS 'Who has read which openings: written in the transaction that reads them, or nothing is read.';
COMMENT ON COLUMN vault.access.body IS 'The record in canonical JSON: exactly the bytes that its leaf hash is over.';
COMMENT ON COLUMN vault.access.shown_from IS 'From when on the parties concerned see it.';

-- The access log: the same records in one order, hashed into a tree (RFC 6962), with checkpoints of its own.

CREATE TABLE vault.access_pending (
    access bytea PRIMARY KEY REFERENCES vault.access
);

CREATE TABLE vault.access_leaf (
    idx bigint PRIMARY KEY CHECK (idx >= 0),
    access bytea NOT NULL UNIQUE REFERENCES vault.access,
    leaf_hash bytea NOT NULL CHECK (octet_length(leaf_hash) = 32)
);

CREATE TABLE vault.access_state (
    id smallint PRIMARY KEY CHECK (id = 1),
    size bigint NOT NULL CHECK (size >= 0),
    root bytea NOT NULL CHECK (octet_length(root) = 32)
);
INSERT INTO vault.access_state (id, size, root) VALUES (1, 0, sha256(''::bytea));

CREATE TABLE vault.access_checkpoint (
    size bigint PRIMARY KEY CHECK (size >= 2),
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    note text NOT NULL
);

DO $$
DECLARE
    guarded text;
BEGIN
    FOREACH guarded IN ARRAY ARRAY['access', 'access_leaf', 'access_checkpoint'] LOOP
        EXECUTE format('CREATE TRIGGER append_only_rows BEFORE UPDATE OR DELETE ON vault.%I
                        FOR EACH ROW EXECUTE FUNCTION vault.refuse_change()', guarded);
        EXECUTE format('ALTER TABLE vault.%I ENABLE ALWAYS TRIGGER append_only_rows', guarded);
        EXECUTE format('CREATE TRIGGER append_only_table BEFORE TRUNCATE ON vault.%I
                        FOR EACH STATEMENT EXECUTE FUNCTION vault.refuse_change()', guarded);
        EXECUTE format('ALTER TABLE vault.%I ENABLE ALWAYS TRIGGER append_only_table', guarded);
    END LOOP;
END
$$;

-- Who sees and writes which rows. `service` is the service at its own work: appending, checking tokens, the access log.

CREATE POLICY service ON vault.wrapping_key USING (vault.acting_role() = 'service');
CREATE POLICY service ON vault.opening USING (vault.acting_role() = 'service');
CREATE POLICY service ON vault.reader USING (vault.acting_role() = 'service');
CREATE POLICY service ON vault.token USING (vault.acting_role() = 'service');
CREATE POLICY service ON vault.challenge USING (vault.acting_role() = 'service');
CREATE POLICY service ON vault.access_pending USING (vault.acting_role() = 'service');
CREATE POLICY service ON vault.access_leaf USING (vault.acting_role() = 'service');
CREATE POLICY service ON vault.access_state USING (vault.acting_role() = 'service');
CREATE POLICY service ON vault.access_checkpoint USING (vault.acting_role() = 'service');

CREATE POLICY anybody ON vault.access_state FOR SELECT USING (true);
CREATE POLICY anybody ON vault.access_checkpoint FOR SELECT USING (true);

CREATE POLICY entitled ON vault.reader FOR SELECT USING (
    (vault.acting_role() = 'party' AND encode(party, 'hex') = vault.acting_for())
    OR (vault.acting_role() = 'officer' AND jurisdiction = vault.acting_for())
);

CREATE POLICY recorded ON vault.access FOR INSERT WITH CHECK (
    role IN ('party', 'officer') AND role = vault.acting_role() AND bound_to = vault.acting_for()
    AND token = vault.acting_token()
    AND EXISTS (SELECT FROM vault.reader WHERE reader.statement = access.statement)
);
CREATE POLICY concerned ON vault.access FOR SELECT USING (
    vault.acting_role() IN ('service', 'auditor', 'operator')
    OR (role = vault.acting_role() AND token = vault.acting_token())
    OR (vault.acting_role() = 'party' AND shown_from <= now()
        AND EXISTS (SELECT FROM vault.reader WHERE reader.statement = access.statement))
);
CREATE POLICY recorded ON vault.access_pending FOR INSERT WITH CHECK (vault.acting_role() IN ('party', 'officer'));
CREATE POLICY concerned ON vault.access_leaf FOR SELECT USING (
    EXISTS (SELECT FROM vault.access WHERE access.id = access_leaf.access)
);

-- No record, no data: an opening is seen only in a transaction that has recorded the reading of it.
CREATE POLICY recorded ON vault.opening FOR SELECT USING (
    EXISTS (SELECT FROM vault.reader WHERE reader.statement = opening.statement)
    AND EXISTS (SELECT FROM vault.access WHERE access.statement = opening.statement
        AND access.transaction = pg_current_xact_id_if_assigned() AND access.token = vault.acting_token())
);

DO $$
DECLARE
    owned text;
BEGIN
    FOR owned IN SELECT tablename FROM pg_tables WHERE schemaname = 'vault' LOOP
        EXECUTE format('ALTER TABLE vault.%I OWNER TO chopmark_owner', owned);
        EXECUTE format('ALTER TABLE vault.%I ENABLE ROW LEVEL SECURITY', owned);
        EXECUTE format('ALTER TABLE vault.%I FORCE ROW LEVEL SECURITY', owned);
    END LOOP;
END
$$;
ALTER FUNCTION vault.acting_role() OWNER TO chopmark_owner;
ALTER FUNCTION vault.acting_for() OWNER TO chopmark_owner;
ALTER FUNCTION vault.acting_token() OWNER TO chopmark_owner;
ALTER FUNCTION vault.refuse_change() OWNER TO chopmark_owner;

GRANT SELECT ON ALL TABLES IN SCHEMA vault TO chopmark_vault;
GRANT INSERT ON vault.wrapping_key, vault.opening, vault.reader, vault.token, vault.challenge, vault.access_pending,
    vault.access_leaf, vault.access_checkpoint TO chopmark_vault;
-- Not which transaction it was: PostgreSQL says that.
GRANT INSERT (id, statement, role, bound_to, token, body, shown_from) ON vault.access TO chopmark_vault;
GRANT UPDATE (retired_at) ON vault.wrapping_key TO chopmark_vault;
GRANT UPDATE (key_id, wrapped_key, sealed, erased_by) ON vault.opening TO chopmark_vault;
GRANT UPDATE (revoked_at) ON vault.token TO chopmark_vault;
GRANT UPDATE (size, root) ON vault.access_state TO chopmark_vault;
GRANT DELETE ON vault.challenge, vault.access_pending, vault.token TO chopmark_vault;

-- Payments, whose figures are sealed. One row for each payer, payee and document.

CREATE TABLE view.expenditure (
    payer bytea NOT NULL,
    payee bytea NOT NULL,
    document text NOT NULL,
    id bytea NOT NULL,
    idx bigint NOT NULL,
    PRIMARY KEY (payer, payee, document)
);
ALTER TABLE view.expenditure OWNER TO chopmark_owner;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON view.expenditure TO chopmark_view;
