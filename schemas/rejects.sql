-- Every input that did not make it, with the stage that left it out. Inputs = tracks + rejects of ingest, always.
CREATE TABLE rejects (
    track_id     VARCHAR NOT NULL,
    dataset      VARCHAR NOT NULL,
    stage        VARCHAR NOT NULL,
    reason       VARCHAR NOT NULL,
    detail       VARCHAR NOT NULL,
    retryable    BOOLEAN NOT NULL,
    source_path  VARCHAR,
    source_bytes BIGINT,
    source_mtime BIGINT,
    config_hash  VARCHAR NOT NULL,
    code_version VARCHAR NOT NULL
);
COMMENT ON TABLE rejects IS 'Every input that did not make it, and why';
COMMENT ON COLUMN rejects.track_id IS 'The id the track would have, or has when a later stage left it out';
COMMENT ON COLUMN rejects.dataset IS 'Dataset of the input';
COMMENT ON COLUMN rejects.stage IS 'Stage that left it out: ingest or extract';
COMMENT ON COLUMN rejects.reason IS 'empty, not-audio, wrong-extension, truncated, corrupt, undecoded (bytes that may be audio but that no decoder reads), not-finite, silent, clipped, too-short, too-long, too-large, killed (workers were lost over it), missing, unreadable, outside (a link leads out of the dataset), metadata (what the dataset says of it cannot be read)';
COMMENT ON COLUMN rejects.detail IS 'Measured value';
COMMENT ON COLUMN rejects.retryable IS 'Whether the same file may succeed next time; a changed file is always tried again';
COMMENT ON COLUMN rejects.source_path IS 'Where the file was or should have been';
COMMENT ON COLUMN rejects.source_bytes IS 'Size of the file in bytes; NULL when it is missing';
COMMENT ON COLUMN rejects.source_mtime IS 'Modification time in nanoseconds since 1970; NULL when it is missing';
COMMENT ON COLUMN rejects.config_hash IS 'Hash of the configuration that rejected it';
COMMENT ON COLUMN rejects.code_version IS 'Version of Phonolake that rejected it';
