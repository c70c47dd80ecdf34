DROP INDEX view.endorsement_idx;
