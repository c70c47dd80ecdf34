-- The first later versions of an artefact, and the keys of a party that ended last, without reading all of them.
DROP INDEX view.artefact_page_supersedes;
CREATE INDEX artefact_page_supersedes ON view.artefact_page (supersedes, idx) WHERE supersedes IS NOT NULL;
DROP INDEX view.key_party;
CREATE INDEX key_party ON view.key (party, valid_until);
