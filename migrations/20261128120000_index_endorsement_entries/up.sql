-- What was endorsed since some entry: whose kept sums are to be computed again.
CREATE INDEX endorsement_idx ON view.endorsement (idx);
