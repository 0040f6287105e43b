-- Fingerprints of tracks to find duplicates.
CREATE TABLE fingerprints (
    track_id      VARCHAR NOT NULL,
    sample_sha256 VARCHAR NOT NULL,
    frames        INTEGER[] NOT NULL,
    frames_slower INTEGER[],
    frames_faster INTEGER[],
    source_shard  VARCHAR NOT NULL,
    config_hash   VARCHAR NOT NULL,
    code_version  VARCHAR NOT NULL
);
COMMENT ON TABLE fingerprints IS 'Fingerprints of tracks to find duplicates';
COMMENT ON COLUMN fingerprints.track_id IS 'Track that was decoded';
COMMENT ON COLUMN fingerprints.sample_sha256 IS 'SHA-256 of sampling rate, channels and decoded samples: the same for the same sound in another lossless file';
COMMENT ON COLUMN fingerprints.frames IS 'Sub-fingerprints of 32 bits, as signed numbers, one every 11.6 ms (Haitsma and Kalker 2002); 0 where there is no sound to compare';
COMMENT ON COLUMN fingerprints.frames_slower IS 'As frames, of the recording played 1 % slower; only every fourth';
COMMENT ON COLUMN fingerprints.frames_faster IS 'As frames, of the recording played 1 % faster; only every fourth';
COMMENT ON COLUMN fingerprints.source_shard IS 'Audio shard they were computed from';
COMMENT ON COLUMN fingerprints.config_hash IS 'Hash of the fingerprint''s version and parameters';
COMMENT ON COLUMN fingerprints.code_version IS 'Version of Phonolake that wrote the row';
