DROP INDEX view.key_party;
CREATE INDEX key_party ON view.key (party);
DROP INDEX view.artefact_page_supersedes;
CREATE INDEX artefact_page_supersedes ON view.artefact_page (supersedes) WHERE supersedes IS NOT NULL;
