-- Spectrograms as float16, one row per track and named configuration, or one per segment.
CREATE TABLE spectrograms (
    track_id     VARCHAR NOT NULL,
    spectrogram  VARCHAR NOT NULL,
    n_bands      INTEGER NOT NULL,
    n_frames     INTEGER NOT NULL,
    data         BLOB    NOT NULL,
    source_shard VARCHAR NOT NULL,
    config_hash  VARCHAR NOT NULL,
    code_version VARCHAR NOT NULL,
    n_channels   INTEGER,
    start_seconds DOUBLE,
    end_seconds   DOUBLE,
    config        VARCHAR
);
COMMENT ON TABLE spectrograms IS 'Spectrograms as float16, one row per track and configuration';
COMMENT ON COLUMN spectrograms.track_id IS 'Track the spectrogram shows';
COMMENT ON COLUMN spectrograms.spectrogram IS 'Name of the configuration, such as mel-96-12k';
COMMENT ON COLUMN spectrograms.n_bands IS 'Number of frequency bands, low to high; rows of pixels from the top down for a picture';
COMMENT ON COLUMN spectrograms.n_frames IS 'Number of frames in time';
COMMENT ON COLUMN spectrograms.data IS 'n_channels x n_bands x n_frames little-endian float16 in row-major order; decibels for log-mel configurations';
COMMENT ON COLUMN spectrograms.source_shard IS 'Audio shard it was computed from';
COMMENT ON COLUMN spectrograms.config_hash IS 'Hash of the configuration''s parameters';
COMMENT ON COLUMN spectrograms.code_version IS 'Version of Phonolake that wrote the row';
COMMENT ON COLUMN spectrograms.n_channels IS 'Number of channels: 3 for a picture in colours; NULL in older rows means 1';
COMMENT ON COLUMN spectrograms.start_seconds IS 'Start of the segment in the recording; NULL if the row is about the whole recording';
COMMENT ON COLUMN spectrograms.end_seconds IS 'End of the segment in the recording; NULL if the row is about the whole recording';
COMMENT ON COLUMN spectrograms.config IS 'Parameters of the configuration as JSON; NULL in older rows';
