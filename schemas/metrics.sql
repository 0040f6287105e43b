-- Figures of a run, per label and overall, with the level that chance reaches.
CREATE TABLE metrics (
    run_id VARCHAR NOT NULL,
    part   VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,
    label  VARCHAR,
    epoch  INTEGER,
    value  DOUBLE,
    chance DOUBLE,
    n      BIGINT  NOT NULL,
    clips  VARCHAR
);
COMMENT ON TABLE metrics IS 'Figures of a run';
COMMENT ON COLUMN metrics.run_id IS 'Run the figure belongs to';
COMMENT ON COLUMN metrics.part IS 'train, valid or test';
COMMENT ON COLUMN metrics.metric IS 'accuracy, macro-f1, f1, roc-auc, pr-auc, loss ...';
COMMENT ON COLUMN metrics.label IS 'Label of a per-class figure; NULL for the overall one';
COMMENT ON COLUMN metrics.epoch IS 'Epoch of a training curve, from 1; NULL for the final figure';
COMMENT ON COLUMN metrics.value IS 'The figure; NULL where it is not defined';
COMMENT ON COLUMN metrics.chance IS 'Chance on the same tracks; NULL if it has no meaning';
COMMENT ON COLUMN metrics.n IS 'Number of tracks it was measured on';
COMMENT ON COLUMN metrics.clips IS 'Fingerprint of the set of tracks it was measured on; NULL in lakes from before it was kept';
