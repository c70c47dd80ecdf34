DROP INDEX view.endorsement_statement;
