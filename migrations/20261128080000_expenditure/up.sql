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
