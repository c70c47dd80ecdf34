-- Expenditure: assets, payments and uses, each with its latest version, as admission looks them up (group one). It takes
-- the place of the table of payments alone.

DROP TABLE view.expenditure;

CREATE TABLE view.evidence (
    id bytea PRIMARY KEY,
    idx bigint NOT NULL UNIQUE,
    kind text NOT NULL,
    issuer bytea NOT NULL,
    signers jsonb NOT NULL,
    subject jsonb NOT NULL,
    subject_sha256 bytea NOT NULL UNIQUE,
    head bytea NOT NULL,
    is_reversed boolean NOT NULL
);
CREATE INDEX evidence_issuer ON view.evidence (issuer, idx);
COMMENT ON COLUMN view.evidence.subject IS
    'What it is about: {"asset": id}, {"payment": {"payer", "payee", "document"}} or {"use": {"asset", "year", "by"}}.';
COMMENT ON COLUMN view.evidence.subject_sha256 IS
    'SHA-256 of the canonical JSON of the subject: no two entries are about the same, and names may be long.';
COMMENT ON COLUMN view.evidence.head IS 'The latest correction of it, or itself.';
COMMENT ON COLUMN view.evidence.is_reversed IS 'Whether that correction has nothing in its place.';

ALTER TABLE view.evidence OWNER TO chopmark_owner;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON view.evidence TO chopmark_view;

-- What a report rests on: every version of an entry, and every entry of these kinds by the parties it is of or names.

CREATE TABLE view.evidence_version (
    idx bigint PRIMARY KEY,
    id bytea NOT NULL UNIQUE,
    entry bytea NOT NULL
);
CREATE INDEX evidence_version_entry ON view.evidence_version (entry, idx);
COMMENT ON COLUMN view.evidence_version.entry IS 'The asset, payment or use as it was entered first; itself where this is that.';

CREATE TABLE view.evidence_party (
    party bytea NOT NULL,
    idx bigint NOT NULL,
    kind text NOT NULL,
    currency text,
    PRIMARY KEY (party, idx)
);
CREATE INDEX evidence_party_idx ON view.evidence_party (idx);
COMMENT ON COLUMN view.evidence_party.currency IS 'Of a rate of exchange: the currency that is not the Hong Kong dollar.';

CREATE INDEX party_identifiers ON view.party USING gin (identifiers jsonb_path_ops);

DO $$
DECLARE
    made text;
BEGIN
    FOREACH made IN ARRAY ARRAY['evidence_version', 'evidence_party'] LOOP
        EXECUTE format('ALTER TABLE view.%I OWNER TO chopmark_owner', made);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON view.%I TO chopmark_view', made);
    END LOOP;
END
$$;

-- Reports as they were made, encrypted as openings are, and sums of them beside: neither is there without its key.

CREATE TABLE vault.report (
    id bytea PRIMARY KEY CHECK (octet_length(id) = 32),
    party bytea NOT NULL,
    statements bytea[] NOT NULL,
    key_id text REFERENCES vault.wrapping_key,
    wrapped_key bytea,
    sealed bytea,
    erased_by bigint,
    CHECK (erased_by IS NULL AND num_nonnulls(key_id, wrapped_key, sealed) = 3
        OR erased_by IS NOT NULL AND num_nonnulls(key_id, wrapped_key, sealed) = 0)
);
CREATE INDEX report_key ON vault.report (key_id) WHERE key_id IS NOT NULL;
CREATE INDEX report_statements ON vault.report USING gin (statements);
COMMENT ON TABLE vault.report IS 'Signed reports: the same bytes for ever, or until a value in them is erased.';
COMMENT ON COLUMN vault.report.id IS 'SHA-256 of the report.';
COMMENT ON COLUMN vault.report.party IS 'The taxpayer.';
COMMENT ON COLUMN vault.report.statements IS 'Statements whose openings are in it.';

CREATE TABLE vault.report_sum (
    party bytea PRIMARY KEY,
    size bigint NOT NULL,
    rules bytea NOT NULL,
    key_id text NOT NULL REFERENCES vault.wrapping_key,
    wrapped_key bytea NOT NULL,
    sealed bytea NOT NULL
);
COMMENT ON TABLE vault.report_sum IS
    'What a report on everything of a taxpayer adds up to, by year, type and section; made anew whenever it is not there.';
COMMENT ON COLUMN vault.report_sum.size IS 'Entries of the log that it takes into account.';
COMMENT ON COLUMN vault.report_sum.rules IS 'Digest of the rules.';

CREATE POLICY service ON vault.report USING (vault.acting_role() = 'service');
CREATE POLICY service ON vault.report_sum USING (vault.acting_role() = 'service');

-- A report on a party is read by that party and by officers of its place, and the record is about the party.
CREATE POLICY reported ON vault.access FOR INSERT WITH CHECK (
    role IN ('party', 'officer') AND role = vault.acting_role() AND bound_to = vault.acting_for()
    AND token = vault.acting_token()
    AND EXISTS (SELECT FROM view.party WHERE party.id = access.statement
        AND ((access.role = 'party' AND encode(party.id, 'hex') = access.bound_to)
            OR (access.role = 'officer' AND party.jurisdiction = access.bound_to)))
);
-- Sums over a jurisdiction: a record about the entry that founded the registry.
CREATE POLICY summarised ON vault.access FOR INSERT WITH CHECK (
    role IN ('officer', 'auditor') AND role = vault.acting_role() AND bound_to = vault.acting_for()
    AND token = vault.acting_token()
    AND statement = (SELECT entry.statement_id FROM log.entry WHERE entry.idx = 0)
);
CREATE POLICY summarised ON vault.access_pending FOR INSERT WITH CHECK (vault.acting_role() = 'auditor');
CREATE POLICY reported ON vault.access FOR SELECT USING (
    vault.acting_role() = 'party' AND shown_from <= now() AND encode(statement, 'hex') = vault.acting_for()
);
CREATE POLICY recorded ON vault.report FOR SELECT USING (
    EXISTS (SELECT FROM vault.access WHERE access.statement = report.party
        AND access.transaction = pg_current_xact_id_if_assigned() AND access.token = vault.acting_token())
);
CREATE POLICY reported ON vault.opening FOR SELECT USING (
    EXISTS (SELECT FROM vault.reader JOIN vault.access ON access.statement = reader.party
        WHERE reader.statement = opening.statement
        AND access.transaction = pg_current_xact_id_if_assigned() AND access.token = vault.acting_token())
);

DO $$
DECLARE
    made text;
BEGIN
    FOREACH made IN ARRAY ARRAY['report', 'report_sum'] LOOP
        EXECUTE format('ALTER TABLE vault.%I OWNER TO chopmark_owner', made);
        EXECUTE format('ALTER TABLE vault.%I ENABLE ROW LEVEL SECURITY', made);
        EXECUTE format('ALTER TABLE vault.%I FORCE ROW LEVEL SECURITY', made);
        EXECUTE format('GRANT SELECT, INSERT ON vault.%I TO chopmark_vault', made);
    END LOOP;
END
$$;
GRANT UPDATE (key_id, wrapped_key, sealed, erased_by) ON vault.report TO chopmark_vault;
GRANT UPDATE, DELETE ON vault.report_sum TO chopmark_vault;
