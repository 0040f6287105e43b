-- Estimated noise of labels: false positives apart from missing positives.
CREATE TABLE noise_rates (
    run_id       VARCHAR NOT NULL,
    label        VARCHAR,
    n_tracks     BIGINT  NOT NULL,
    n_given      BIGINT  NOT NULL,
    n_true       DOUBLE  NOT NULL,
    n_false      DOUBLE  NOT NULL,
    n_missing    DOUBLE  NOT NULL,
    false_rate   DOUBLE,
    missing_rate DOUBLE,
    false_low    DOUBLE,
    false_high   DOUBLE,
    missing_low  DOUBLE,
    missing_high DOUBLE
);
COMMENT ON TABLE noise_rates IS 'Estimated noise of labels: false positives apart from missing positives';
COMMENT ON COLUMN noise_rates.run_id IS 'Run of the stage analyse that found it; its parameters and data are in runs';
COMMENT ON COLUMN noise_rates.label IS 'The label; NULL for all of them together';
COMMENT ON COLUMN noise_rates.n_tracks IS 'Tracks with held-out predictions';
COMMENT ON COLUMN noise_rates.n_given IS 'Tracks with the label';
COMMENT ON COLUMN noise_rates.n_true IS 'Tracks that should have it, estimated';
COMMENT ON COLUMN noise_rates.n_false IS 'Tracks with it that should not, estimated';
COMMENT ON COLUMN noise_rates.n_missing IS 'Tracks without it that should, estimated';
COMMENT ON COLUMN noise_rates.false_rate IS 'n_false / n_given';
COMMENT ON COLUMN noise_rates.missing_rate IS 'n_missing / n_true';
COMMENT ON COLUMN noise_rates.false_low IS 'Least false_rate of its 95 % interval; NULL where it is not known';
COMMENT ON COLUMN noise_rates.false_high IS 'Greatest false_rate of its 95 % interval; NULL where it is not known';
COMMENT ON COLUMN noise_rates.missing_low IS 'Least missing_rate of its 95 % interval; NULL where it is not known';
COMMENT ON COLUMN noise_rates.missing_high IS 'Greatest missing_rate of its 95 % interval; NULL where it is not known';
