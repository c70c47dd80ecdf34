-- The ledger: three schemas, three roles, and triggers that refuse every change but an append.
--
-- All of this slows a careless or curious administrator down; none of it binds a superuser. The guarantee is
-- detection: audits recompute the tree from the rows and compare it with checkpoints kept outside the database.

-- Roles belong to the cluster, not to the database, so another database may have made them already.
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['chopmark_owner', 'chopmark_log', 'chopmark_view', 'chopmark_vault', 'chopmark_app'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
    -- Granting takes a lock per pair; skip it where nothing would change.
    IF NOT pg_has_role('chopmark_app', 'chopmark_log', 'MEMBER') OR NOT pg_has_role('chopmark_app', 'chopmark_vault', 'MEMBER')
        OR NOT pg_has_role('chopmark_app', 'chopmark_view', 'MEMBER') THEN
        GRANT chopmark_log, chopmark_view, chopmark_vault TO chopmark_app;
    END IF;
    IF NOT pg_has_role(current_user, 'chopmark_owner', 'MEMBER') OR NOT pg_has_role(current_user, 'chopmark_app', 'MEMBER') THEN
        EXECUTE format('GRANT chopmark_owner, chopmark_app TO %I', current_user);
    END IF;
END
$$;

CREATE SCHEMA log AUTHORIZATION chopmark_owner;
CREATE SCHEMA view AUTHORIZATION chopmark_owner;
CREATE SCHEMA vault AUTHORIZATION chopmark_owner;

-- Schema log: what is proved. Insert-only, but for the one row that says how much there is.

CREATE TABLE log.log_state (
    id smallint PRIMARY KEY CHECK (id = 1),
    size bigint NOT NULL CHECK (size >= 0),
    root bytea NOT NULL CHECK (octet_length(root) = 32)
);

CREATE TABLE log.entry (
    idx bigint PRIMARY KEY CHECK (idx >= 0),
    statement_id bytea NOT NULL UNIQUE CHECK (octet_length(statement_id) = 32),
    leaf_hash bytea NOT NULL CHECK (octet_length(leaf_hash) = 32),
    kind text NOT NULL,
    issuer bytea NOT NULL CHECK (octet_length(issuer) = 32),
    recorded_at timestamptz NOT NULL,
    body bytea NOT NULL CHECK (octet_length(body) <= 65535)
);

CREATE TABLE log.tile (
    level smallint NOT NULL CHECK (level BETWEEN 0 AND 63),
    n bigint NOT NULL CHECK (n >= 0),
    hashes bytea NOT NULL CHECK (octet_length(hashes) = 8192),
    PRIMARY KEY (level, n)
);

CREATE TABLE log.checkpoint (
    size bigint PRIMARY KEY CHECK (size >= 2),
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    note text NOT NULL
);

CREATE TABLE log.document (
    sha256 bytea PRIMARY KEY CHECK (octet_length(sha256) = 32),
    body bytea NOT NULL CHECK (octet_length(body) <= 16777216)
);

COMMENT ON COLUMN log.entry.body IS 'The stored DSSE envelope: exactly the bytes that the leaf hash is over.';
COMMENT ON COLUMN log.entry.recorded_at IS 'The operator''s clock; never decreases. A claim, not evidence of time.';
COMMENT ON TABLE log.tile IS 'Full tiles only; a partial tile is a prefix, answered from leaf hashes.';
COMMENT ON TABLE log.document IS 'Manifests, by the SHA-256 of their canonical bytes.';

-- SHA-256 of nothing: the root of the empty tree (RFC 6962, section 2.1).
INSERT INTO log.log_state (id, size, root) VALUES (1, 0, sha256(''::bytea));

CREATE FUNCTION log.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'log.% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE FUNCTION log.check_growth() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id <> OLD.id OR NEW.size <= OLD.size THEN
        RAISE EXCEPTION 'log.log_state only grows: from % to % refused', OLD.size, NEW.size
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;

-- ENABLE ALWAYS: ordinary triggers sleep under session_replication_role = replica.
DO $$
DECLARE
    guarded text;
BEGIN
    FOREACH guarded IN ARRAY ARRAY['entry', 'tile', 'checkpoint', 'document'] LOOP
        EXECUTE format('CREATE TRIGGER append_only_rows BEFORE UPDATE OR DELETE ON log.%I
                        FOR EACH ROW EXECUTE FUNCTION log.refuse_change()', guarded);
        EXECUTE format('ALTER TABLE log.%I ENABLE ALWAYS TRIGGER append_only_rows', guarded);
    END LOOP;
    FOREACH guarded IN ARRAY ARRAY['entry', 'tile', 'checkpoint', 'document', 'log_state'] LOOP
        EXECUTE format('CREATE TRIGGER append_only_table BEFORE TRUNCATE ON log.%I
                        FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change()', guarded);
        EXECUTE format('ALTER TABLE log.%I ENABLE ALWAYS TRIGGER append_only_table', guarded);
    END LOOP;
END
$$;
CREATE TRIGGER only_grows BEFORE UPDATE ON log.log_state FOR EACH ROW EXECUTE FUNCTION log.check_growth();
CREATE TRIGGER append_only_rows BEFORE DELETE ON log.log_state FOR EACH ROW EXECUTE FUNCTION log.refuse_change();
ALTER TABLE log.log_state ENABLE ALWAYS TRIGGER only_grows;
ALTER TABLE log.log_state ENABLE ALWAYS TRIGGER append_only_rows;

-- Schema view: what is read. A pure fold of the log, rebuildable, so it may be rewritten.

CREATE TABLE view.policy (
    idx bigint PRIMARY KEY,
    statement_id bytea NOT NULL,
    anchors jsonb NOT NULL
);

CREATE TABLE view.party (
    id bytea PRIMARY KEY,
    idx bigint NOT NULL,
    name jsonb NOT NULL,
    identifiers jsonb NOT NULL,
    jurisdiction text,
    threshold bigint NOT NULL,
    key_head bytea NOT NULL,
    key_seq bigint NOT NULL
);

CREATE TABLE view.key (
    id bytea PRIMARY KEY,
    public_key bytea NOT NULL,
    party bytea NOT NULL,
    role text NOT NULL,
    valid_from bigint NOT NULL,
    valid_until bigint
);
CREATE INDEX key_party ON view.key (party);

CREATE TABLE view.key_event (
    party bytea NOT NULL,
    seq bigint NOT NULL,
    event bytea NOT NULL,
    idx bigint NOT NULL,
    PRIMARY KEY (party, seq)
);

CREATE TABLE view.artefact (
    id bytea PRIMARY KEY,
    idx bigint NOT NULL,
    owner bytea NOT NULL,
    manifest bytea NOT NULL,
    version text NOT NULL,
    claim jsonb NOT NULL,
    UNIQUE (owner, manifest, version)
);

CREATE TABLE view.artefact_digest (
    digest bytea NOT NULL,
    idx bigint NOT NULL,
    artefact bytea NOT NULL,
    PRIMARY KEY (digest, idx)
);

CREATE TABLE view.nonce (
    issuer bytea NOT NULL,
    nonce bytea NOT NULL,
    PRIMARY KEY (issuer, nonce)
);

COMMENT ON TABLE view.artefact_digest IS 'Every digest an artefact is found by: its manifest, and each file by SHA-256 and BLAKE3.';

-- Schema vault: sealed values, tokens and read audit will live here, apart from what is public.

DO $$
DECLARE
    owned record;
BEGIN
    FOR owned IN SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('log', 'view', 'vault') LOOP
        EXECUTE format('ALTER TABLE %I.%I OWNER TO chopmark_owner', owned.schemaname, owned.tablename);
    END LOOP;
END
$$;
ALTER FUNCTION log.refuse_change() OWNER TO chopmark_owner;
ALTER FUNCTION log.check_growth() OWNER TO chopmark_owner;

GRANT USAGE ON SCHEMA log TO chopmark_log;
GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA log TO chopmark_log;
REVOKE INSERT ON log.log_state FROM chopmark_log;
GRANT UPDATE (size, root) ON log.log_state TO chopmark_log;
GRANT USAGE ON SCHEMA view TO chopmark_view;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA view TO chopmark_view;
GRANT USAGE ON SCHEMA vault TO chopmark_vault;

-- The event trigger is last, because from here on it guards schema log, against this very script too. Later migrations
-- that must alter it say so with SET LOCAL chopmark.migrating = 'on'. Only a superuser can make one.
CREATE FUNCTION public.chopmark_guard_log() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
    touched text;
BEGIN
    IF current_setting('chopmark.migrating', true) = 'on' THEN
        RETURN;
    END IF;
    IF TG_EVENT = 'sql_drop' THEN
        SELECT object_identity INTO touched FROM pg_event_trigger_dropped_objects()
            WHERE schema_name = 'log' OR (object_type = 'schema' AND object_name = 'log') LIMIT 1;
    ELSE
        SELECT object_identity INTO touched FROM pg_event_trigger_ddl_commands()
            WHERE schema_name = 'log' OR object_identity = 'log' LIMIT 1;
        -- What was renamed or moved away is reported under its new name.
        IF touched IS NULL THEN
            SELECT 'log.' || guarded INTO touched
                FROM unnest(ARRAY['log_state', 'entry', 'tile', 'checkpoint', 'document']) AS guarded
                WHERE to_regclass('log.' || guarded) IS NULL LIMIT 1;
        END IF;
    END IF;
    IF touched IS NOT NULL THEN
        RAISE EXCEPTION '% is part of the append-only ledger: % refused', touched, TG_TAG
            USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$$;

DO $$
BEGIN
    CREATE EVENT TRIGGER chopmark_guard_log_drop ON sql_drop EXECUTE FUNCTION public.chopmark_guard_log();
    CREATE EVENT TRIGGER chopmark_guard_log_alter ON ddl_command_end EXECUTE FUNCTION public.chopmark_guard_log();
    ALTER EVENT TRIGGER chopmark_guard_log_drop ENABLE ALWAYS;
    ALTER EVENT TRIGGER chopmark_guard_log_alter ENABLE ALWAYS;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING 'not a superuser: the ledger tables are not guarded against DROP and ALTER by an event trigger';
END
$$;
