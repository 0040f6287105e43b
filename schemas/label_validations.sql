-- How often given labels are right, according to people who listened again (Choi et al. 2018, Table I); NULL if the sample does not determine it.
CREATE TABLE label_validations (
    run_id              VARCHAR NOT NULL,
    label               VARCHAR NOT NULL,
    n_positive          BIGINT  NOT NULL,
    n_negative          BIGINT  NOT NULL,
    error_positive      DOUBLE,
    error_positive_low  DOUBLE,
    error_positive_high DOUBLE,
    error_negative      DOUBLE,
    error_negative_low  DOUBLE,
    error_negative_high DOUBLE,
    precision           DOUBLE,
    recall              DOUBLE,
    recall_low          DOUBLE,
    recall_high         DOUBLE,
    tagability          DOUBLE,
    n_given             BIGINT  NOT NULL,
    share_given         DOUBLE,
    n_estimated         DOUBLE,
    n_estimated_low     DOUBLE,
    n_estimated_high    DOUBLE,
    n_bootstrap_low     DOUBLE,
    n_bootstrap_high    DOUBLE,
    share_estimated     DOUBLE
);
COMMENT ON TABLE label_validations IS 'How often given labels are right, according to people who listened again (Choi et al. 2018, Table I); NULL if the sample does not determine it';
COMMENT ON COLUMN label_validations.run_id IS 'Run of the stage analyse that found it; its parameters and data are in runs';
COMMENT ON COLUMN label_validations.label IS 'Label that was checked';
COMMENT ON COLUMN label_validations.n_positive IS 'Answers about tracks with the label';
COMMENT ON COLUMN label_validations.n_negative IS 'Answers about tracks without it';
COMMENT ON COLUMN label_validations.error_positive IS 'Error rate of positive labels, in [0, 1]';
COMMENT ON COLUMN label_validations.error_positive_low IS 'Wilson, lower end: Error rate of positive labels, in [0, 1]';
COMMENT ON COLUMN label_validations.error_positive_high IS 'Wilson, upper end: Error rate of positive labels, in [0, 1]';
COMMENT ON COLUMN label_validations.error_negative IS 'Error rate of negative labels, in [0, 1]';
COMMENT ON COLUMN label_validations.error_negative_low IS 'Wilson, lower end: Error rate of negative labels, in [0, 1]';
COMMENT ON COLUMN label_validations.error_negative_high IS 'Wilson, upper end: Error rate of negative labels, in [0, 1]';
COMMENT ON COLUMN label_validations.precision IS '1 - error_positive';
COMMENT ON COLUMN label_validations.recall IS 'Share found of what holds, were half of the tracks given the label';
COMMENT ON COLUMN label_validations.recall_low IS 'Bootstrap interval of recall, lower end';
COMMENT ON COLUMN label_validations.recall_high IS 'Bootstrap interval of recall, upper end';
COMMENT ON COLUMN label_validations.tagability IS 'Share of tracks with the label among those of the collection that should have it';
COMMENT ON COLUMN label_validations.n_given IS 'Tracks of the collection with the label';
COMMENT ON COLUMN label_validations.share_given IS 'n_given over all tracks';
COMMENT ON COLUMN label_validations.n_estimated IS 'Tracks that should have it (Eq. 2)';
COMMENT ON COLUMN label_validations.n_estimated_low IS 'n_estimated, lower end by the limits of both error rates';
COMMENT ON COLUMN label_validations.n_estimated_high IS 'n_estimated, upper end by the limits of both error rates';
COMMENT ON COLUMN label_validations.n_bootstrap_low IS 'n_estimated, lower end by bootstrap';
COMMENT ON COLUMN label_validations.n_bootstrap_high IS 'n_estimated, upper end by bootstrap';
COMMENT ON COLUMN label_validations.share_estimated IS 'n_estimated over all tracks';
