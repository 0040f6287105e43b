-- Accuracy that a random forest loses when one feature is shuffled, on folds it did not learn from.
CREATE TABLE feature_importances (
    run_id     VARCHAR NOT NULL,
    feature    VARCHAR NOT NULL,
    importance DOUBLE  NOT NULL,
    std        DOUBLE  NOT NULL
);
COMMENT ON TABLE feature_importances IS 'Accuracy that a random forest loses when one feature is shuffled, on folds it did not learn from';
COMMENT ON COLUMN feature_importances.run_id IS 'Run of the stage analyse that found it; its parameters and data are in runs';
COMMENT ON COLUMN feature_importances.feature IS 'Column of the feature set';
COMMENT ON COLUMN feature_importances.importance IS 'Mean loss of accuracy';
COMMENT ON COLUMN feature_importances.std IS 'Standard deviation over the folds (n - 1)';
