-- What the published splits of a dataset name, whether or not it made it into the lake: the whole that a share is of.
CREATE TABLE official_splits (
    track_id VARCHAR NOT NULL,
    split    VARCHAR NOT NULL,
    part     VARCHAR,
    fold     SMALLINT
);
COMMENT ON TABLE official_splits IS 'Recordings that the published splits of a dataset name, in the lake or not';
COMMENT ON COLUMN official_splits.track_id IS 'The id that the track has, or would have';
COMMENT ON COLUMN official_splits.split IS 'Name of the split';
COMMENT ON COLUMN official_splits.part IS 'train, valid or test for a fixed split';
COMMENT ON COLUMN official_splits.fold IS 'Number of the fold for cross-validation, from 1';
