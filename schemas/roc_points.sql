-- ROC curves of labels by held-out predictions, thinned.
CREATE TABLE roc_points (
    run_id    VARCHAR NOT NULL,
    label     VARCHAR NOT NULL,
    threshold DOUBLE,
    fpr       DOUBLE  NOT NULL,
    tpr       DOUBLE  NOT NULL,
    auc       DOUBLE  NOT NULL
);
COMMENT ON TABLE roc_points IS 'ROC curves of labels by held-out predictions, thinned';
COMMENT ON COLUMN roc_points.run_id IS 'Run of the stage analyse that found it; its parameters and data are in runs';
COMMENT ON COLUMN roc_points.label IS 'Label against the rest';
COMMENT ON COLUMN roc_points.threshold IS 'Lowest accepted probability; NULL if nothing is accepted';
COMMENT ON COLUMN roc_points.fpr IS 'Share of the tracks without the label that are accepted';
COMMENT ON COLUMN roc_points.tpr IS 'Share of the tracks with the label that are accepted';
COMMENT ON COLUMN roc_points.auc IS 'Area under the whole curve';
