DROP INDEX view.evidence_version_assets;
ALTER TABLE view.evidence_version DROP COLUMN assets;
