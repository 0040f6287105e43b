-- Key columns of every hand-crafted feature set. Each set adds one DOUBLE column per value, named and described by the set
-- itself (`phonolake features`), and is stored as its own table: the view features_mfcc_120 holds the set mfcc-120.
CREATE TABLE features (
    track_id     VARCHAR NOT NULL,
    feature_set  VARCHAR NOT NULL,
    source_shard VARCHAR NOT NULL,
    config_hash  VARCHAR NOT NULL,
    code_version VARCHAR NOT NULL,
    start_seconds DOUBLE,
    end_seconds   DOUBLE
);
COMMENT ON TABLE features IS 'Hand-crafted features, one row per track and feature set';
COMMENT ON COLUMN features.track_id IS 'Track the features describe';
COMMENT ON COLUMN features.feature_set IS 'Name of the feature set';
COMMENT ON COLUMN features.source_shard IS 'Audio shard the features were computed from';
COMMENT ON COLUMN features.config_hash IS 'Hash of the feature set''s name, version and parameters';
COMMENT ON COLUMN features.code_version IS 'Version of Phonolake that wrote the row';
COMMENT ON COLUMN features.start_seconds IS 'Start of the segment in the recording; NULL if the row is about the whole recording';
COMMENT ON COLUMN features.end_seconds IS 'End of the segment in the recording; NULL if the row is about the whole recording';
