-- Pairs of tracks with the same recording. Of more than two with the same samples each is paired with the first.
CREATE TABLE duplicates (
    track_id        VARCHAR NOT NULL,
    other_id        VARCHAR NOT NULL,
    kind            VARCHAR NOT NULL,
    similarity      DOUBLE  NOT NULL,
    offset_seconds  DOUBLE  NOT NULL,
    overlap_seconds DOUBLE,
    config_hash     VARCHAR NOT NULL,
    code_version    VARCHAR NOT NULL
);
COMMENT ON TABLE duplicates IS 'Pairs of tracks with the same recording';
COMMENT ON COLUMN duplicates.track_id IS 'The one whose id comes first';
COMMENT ON COLUMN duplicates.other_id IS 'The other track';
COMMENT ON COLUMN duplicates.kind IS 'exact (the same decoded samples) or near (the same recording after encoding, a gain change, a shift or a change of speed by up to 1.5 %)';
COMMENT ON COLUMN duplicates.similarity IS 'Share of equal bits of the sub-fingerprints where both sound, in [0, 1]; unrelated tracks have about 0.5';
COMMENT ON COLUMN duplicates.offset_seconds IS 'Time in the first track minus time in the other, in seconds';
COMMENT ON COLUMN duplicates.overlap_seconds IS 'Sound that was compared, in seconds; NULL for exact ones';
COMMENT ON COLUMN duplicates.config_hash IS 'Hash of the fingerprint''s and the comparison''s parameters';
COMMENT ON COLUMN duplicates.code_version IS 'Version of Phonolake that wrote the row';
