-- ROC-AUC of runs by given and by annotated labels (Choi et al. 2018, Fig. 2).
CREATE TABLE evaluation_checks (
    run_id        VARCHAR NOT NULL,
    scored_run    VARCHAR NOT NULL,
    label         VARCHAR,
    auc_all       DOUBLE,
    auc_given     DOUBLE,
    auc_annotated DOUBLE,
    n             BIGINT  NOT NULL
);
COMMENT ON TABLE evaluation_checks IS 'ROC-AUC of runs by given and by annotated labels (Choi et al. 2018, Fig. 2)';
COMMENT ON COLUMN evaluation_checks.run_id IS 'Run of the stage analyse that found it; its parameters and data are in runs';
COMMENT ON COLUMN evaluation_checks.scored_run IS 'Run that was measured';
COMMENT ON COLUMN evaluation_checks.label IS 'Label of the figures; NULL for the mean over labels';
COMMENT ON COLUMN evaluation_checks.auc_all IS 'Mean over all labels as given; NULL in the rows of single labels';
COMMENT ON COLUMN evaluation_checks.auc_given IS 'Annotated tracks, labels as given; NULL where one class is missing';
COMMENT ON COLUMN evaluation_checks.auc_annotated IS 'Annotated tracks, labels as annotated; NULL where one class is missing';
COMMENT ON COLUMN evaluation_checks.n IS 'Answers it was measured on';
