-- Read tables in two groups. What admission looks up is written with the entries, in one transaction; everything that is
-- only searched or shown follows behind, and says how far it is. Both are a fold of the log: `chopmark db rebuild`.

-- Group one: what admission reads.

ALTER TABLE view.party ADD COLUMN verified_from bigint;
ALTER TABLE view.artefact DROP COLUMN claim;
DROP TABLE view.artefact_digest;

CREATE TABLE view.verified_name (
    skeleton text NOT NULL,
    party bytea NOT NULL,
    PRIMARY KEY (skeleton, party)
);
COMMENT ON TABLE view.verified_name IS 'UTS 39 skeletons of the names of parties whose identity the operator verified.';

CREATE TABLE view.endorsement (
    statement bytea NOT NULL,
    issuer bytea NOT NULL,
    id bytea NOT NULL,
    idx bigint NOT NULL,
    PRIMARY KEY (statement, issuer)
);

-- Group two: what follows. Rows refer to artefacts and parties by the index of their entry.

CREATE TABLE view.following (
    id smallint PRIMARY KEY CHECK (id = 1),
    applied_size bigint NOT NULL CHECK (applied_size >= 0)
);
COMMENT ON COLUMN view.following.applied_size IS 'Entries that the tables below take into account.';
INSERT INTO view.following (id, applied_size) VALUES (1, 0);

CREATE TABLE view.artefact_page (
    idx bigint PRIMARY KEY,
    id bytea NOT NULL UNIQUE,
    owner bytea NOT NULL,
    kind text NOT NULL,
    jurisdiction text NOT NULL,
    residency_zone text NOT NULL,
    licences text[] NOT NULL,
    supersedes bytea,
    recorded_at timestamptz NOT NULL,
    terms text[] NOT NULL,
    claim jsonb NOT NULL
);
CREATE INDEX artefact_page_owner ON view.artefact_page (owner, idx);
CREATE INDEX artefact_page_jurisdiction ON view.artefact_page (jurisdiction, idx);
CREATE INDEX artefact_page_zone ON view.artefact_page (residency_zone, idx);
CREATE INDEX artefact_page_kind ON view.artefact_page (kind, idx);
CREATE INDEX artefact_page_recorded ON view.artefact_page (recorded_at, idx);
CREATE INDEX artefact_page_supersedes ON view.artefact_page (supersedes) WHERE supersedes IS NOT NULL;
CREATE INDEX artefact_page_licences ON view.artefact_page USING gin (licences);
CREATE INDEX artefact_page_terms ON view.artefact_page USING gin (terms);
COMMENT ON COLUMN view.artefact_page.terms IS 'Search terms of the names, of the owner''s names and of the version (chopmark_core::text).';

CREATE TABLE view.artefact_digest (
    digest bytea NOT NULL,
    idx bigint NOT NULL,
    PRIMARY KEY (digest, idx)
);
COMMENT ON TABLE view.artefact_digest IS 'Every digest an artefact is found by: its manifest, and each file by SHA-256 and BLAKE3.';

CREATE TABLE view.artefact_conflict (
    earlier bigint NOT NULL,
    later bigint NOT NULL,
    files bigint NOT NULL,
    size_bytes numeric NOT NULL,
    PRIMARY KEY (earlier, later)
);
CREATE INDEX artefact_conflict_later ON view.artefact_conflict (later);
COMMENT ON TABLE view.artefact_conflict IS
    'Files of a later artefact that another party registered first: evidence of order, not of title.';

CREATE TABLE view.artefact_parent (
    child bigint NOT NULL,
    position smallint NOT NULL,
    relation text NOT NULL,
    parent bigint,
    digest bytea,
    origin text,
    foreign_artefact bytea,
    PRIMARY KEY (child, position)
);
CREATE INDEX artefact_parent_parent ON view.artefact_parent (parent) WHERE parent IS NOT NULL;
CREATE INDEX artefact_parent_wanted ON view.artefact_parent (digest) WHERE parent IS NULL AND digest IS NOT NULL;
COMMENT ON COLUMN view.artefact_parent.parent IS
    'The parent''s entry; for a parent known by digest, the first artefact that holds it, once there is one.';

CREATE TABLE view.attestation (
    idx bigint PRIMARY KEY,
    id bytea NOT NULL,
    issuer bytea NOT NULL,
    about bytea NOT NULL,
    claim jsonb NOT NULL
);
CREATE INDEX attestation_about ON view.attestation (about, idx);

CREATE TABLE view.party_page (
    idx bigint PRIMARY KEY,
    id bytea NOT NULL UNIQUE,
    jurisdiction text,
    recorded_at timestamptz NOT NULL,
    terms text[] NOT NULL,
    skeletons text[] NOT NULL
);
CREATE INDEX party_page_jurisdiction ON view.party_page (jurisdiction, idx);
CREATE INDEX party_page_recorded ON view.party_page (recorded_at, idx);
CREATE INDEX party_page_terms ON view.party_page USING gin (terms);
CREATE INDEX party_page_skeletons ON view.party_page USING gin (skeletons);
COMMENT ON COLUMN view.party_page.skeletons IS 'UTS 39 skeletons of the names: parties that share one look alike.';

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
