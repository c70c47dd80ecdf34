-- Pages of a statement's endorsements, in order of entry.
CREATE INDEX endorsement_statement ON view.endorsement (statement, idx);
