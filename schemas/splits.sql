-- Named partitions for training and evaluation; several live side by side.
CREATE TABLE splits (
    track_id VARCHAR NOT NULL,
    split    VARCHAR NOT NULL,
    part     VARCHAR,
    fold     SMALLINT
);
COMMENT ON TABLE splits IS 'Named partitions for training and evaluation';
COMMENT ON COLUMN splits.track_id IS 'Track in the split';
COMMENT ON COLUMN splits.split IS 'Name of the split, such as official or folds';
COMMENT ON COLUMN splits.part IS 'train, valid or test for a fixed split';
COMMENT ON COLUMN splits.fold IS 'Number of the fold for cross-validation, from 1';
