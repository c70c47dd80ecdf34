-- Which assets a payment names: whoever corrects one changes what others paid for it adds up to.
ALTER TABLE view.evidence_version ADD COLUMN assets bytea[];
COMMENT ON COLUMN view.evidence_version.assets IS 'Of a payment: the assets that it names, if any.';
UPDATE view.evidence_version SET assets = named.assets
    FROM (
        SELECT idx, array_remove(ARRAY[decode(paid ->> 'asset', 'hex'), decode(paid ->> 'counter_asset', 'hex')], NULL) AS assets
        FROM (
            SELECT idx, CASE kind WHEN 'expenditure' THEN claim ELSE claim #> '{replacement,expenditure}' END AS paid
            FROM (
                SELECT idx, kind, convert_from(decode(convert_from(body, 'UTF8')::jsonb ->> 'payload', 'base64'), 'UTF8')::jsonb
                    #> '{predicate,claim}' AS claim
                FROM log.entry WHERE kind IN ('expenditure', 'correction')
            ) AS said
        ) AS payment
        WHERE paid ?| ARRAY['asset', 'counter_asset']
    ) AS named
    WHERE evidence_version.idx = named.idx;
CREATE INDEX evidence_version_assets ON view.evidence_version USING gin (assets) WHERE assets IS NOT NULL;

-- Sums from before may be of an asset as it was before a correction, or of other accounting years. They are made anew.
TRUNCATE vault.report_sum;
