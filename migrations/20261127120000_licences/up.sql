-- Licensing. Terms, offers and licences are what admission looks up (group one); verdicts follow (group two).

CREATE TABLE view.terms (
    id bytea NOT NULL,
    issuer bytea NOT NULL,
    statement bytea NOT NULL UNIQUE,
    idx bigint NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (id, issuer)
);
COMMENT ON COLUMN view.terms.body IS 'The canonical JSON of the document; its SHA-256 is the id.';

CREATE TABLE view.offer (
    id bytea PRIMARY KEY,
    idx bigint NOT NULL UNIQUE,
    licensor bytea NOT NULL,
    licensee bytea,
    issued_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    claim jsonb NOT NULL
);
CREATE INDEX offer_licensor ON view.offer (licensor, idx);
CREATE INDEX offer_licensee ON view.offer (licensee, idx) WHERE licensee IS NOT NULL;

CREATE TABLE view.offer_artefact (
    artefact bytea NOT NULL,
    idx bigint NOT NULL,
    PRIMARY KEY (artefact, idx)
);

CREATE TABLE view.licence (
    id bytea PRIMARY KEY,
    idx bigint NOT NULL UNIQUE,
    offer bytea,
    licensor bytea NOT NULL,
    licensee bytea NOT NULL,
    starts_on text COLLATE "C" NOT NULL,
    ends_on text COLLATE "C",
    is_exclusive boolean NOT NULL,
    claim jsonb NOT NULL,
    status text NOT NULL,
    since text COLLATE "C" NOT NULL,
    event_seq bigint NOT NULL,
    event_head bytea NOT NULL
);
CREATE UNIQUE INDEX licence_offer ON view.licence (offer, licensee) WHERE offer IS NOT NULL;
CREATE INDEX licence_licensor ON view.licence (licensor, idx);
CREATE INDEX licence_licensee ON view.licence (licensee, idx);
COMMENT ON COLUMN view.licence.ends_on IS
    'Its last day, YYYY-MM-DD in Hong Kong; NULL for one without end and for one that renews itself.';
COMMENT ON COLUMN view.licence.status IS 'granted, or what its latest event says: suspended, reinstated, terminated.';

CREATE TABLE view.licence_artefact (
    artefact bytea NOT NULL,
    idx bigint NOT NULL,
    PRIMARY KEY (artefact, idx)
);

CREATE TABLE view.licence_event (
    licence bytea NOT NULL,
    seq bigint NOT NULL,
    id bytea NOT NULL,
    idx bigint NOT NULL,
    issuer bytea NOT NULL,
    status text NOT NULL,
    reason text,
    since text COLLATE "C" NOT NULL,
    PRIMARY KEY (licence, seq)
);
CREATE INDEX licence_event_idx ON view.licence_event (idx);

-- Group two.

CREATE TABLE view.artefact_verdict (
    idx bigint PRIMARY KEY,
    verdict jsonb NOT NULL
);
COMMENT ON TABLE view.artefact_verdict IS
    'Whether the licence of what was made from other things goes with theirs, as the entries before it had them.';

DO $$
DECLARE
    owned record;
BEGIN
    FOR owned IN SELECT schemaname, tablename FROM pg_tables WHERE schemaname = 'view' LOOP
        EXECUTE format('ALTER TABLE %I.%I OWNER TO chopmark_owner', owned.schemaname, owned.tablename);
    END LOOP;
END
$$;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA view TO chopmark_view;
