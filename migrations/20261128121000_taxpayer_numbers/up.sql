-- Whom a Business Registration Number is said to be of, by tax profiles: so far it was found among identifiers alone.
ALTER TABLE view.evidence_party ADD COLUMN brn text;
COMMENT ON COLUMN view.evidence_party.brn IS 'Of a tax profile: the Business Registration Number it gives.';
UPDATE view.evidence_party SET brn = profile.brn
    FROM (
        SELECT idx, convert_from(decode(convert_from(body, 'UTF8')::jsonb ->> 'payload', 'base64'), 'UTF8')::jsonb
            #>> '{predicate,claim,brn}' AS brn
        FROM log.entry WHERE kind = 'tax_profile'
    ) AS profile
    WHERE evidence_party.idx = profile.idx AND profile.brn IS NOT NULL;
CREATE INDEX evidence_party_brn ON view.evidence_party (brn) WHERE brn IS NOT NULL;
