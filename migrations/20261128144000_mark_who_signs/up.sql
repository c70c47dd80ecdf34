-- Whether a party signs what names it: what others alone say of a taxpayer never keeps it from having a report.
ALTER TABLE view.evidence_party ADD COLUMN signs boolean NOT NULL DEFAULT true;
ALTER TABLE view.evidence_party ALTER COLUMN signs DROP DEFAULT;
COMMENT ON COLUMN view.evidence_party.signs IS 'Whether the party signs the entry; else it is only named there.';
UPDATE view.evidence_party SET signs = false
    FROM (
        SELECT idx, convert_from(decode(convert_from(body, 'UTF8')::jsonb ->> 'payload', 'base64'), 'UTF8')::jsonb
            #> '{predicate,signers}' AS signers
        FROM log.entry WHERE kind IN ('expenditure', 'correction', 'relation')
    ) AS said
    WHERE evidence_party.idx = said.idx
        AND NOT signers @> jsonb_build_array(jsonb_build_object('party', encode(evidence_party.party, 'hex')));
