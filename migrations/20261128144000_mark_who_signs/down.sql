ALTER TABLE view.evidence_party DROP COLUMN signs;
