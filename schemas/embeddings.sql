-- One vector per track and model.
CREATE TABLE embeddings (
    track_id     VARCHAR NOT NULL,
    model        VARCHAR NOT NULL,
    run_id       VARCHAR NOT NULL,
    embedding    FLOAT[] NOT NULL,
    source_shard VARCHAR NOT NULL,
    code_version VARCHAR NOT NULL
);
COMMENT ON TABLE embeddings IS 'One vector per track and model';
COMMENT ON COLUMN embeddings.track_id IS 'Track of the vector';
COMMENT ON COLUMN embeddings.model IS 'Model that made the vector; a feature set''s name when its standardised features are the vector';
COMMENT ON COLUMN embeddings.run_id IS 'Run that made the model';
COMMENT ON COLUMN embeddings.embedding IS 'The vector; its length is the same for all rows of one run';
COMMENT ON COLUMN embeddings.source_shard IS 'Shard of spectrograms or features it was computed from';
COMMENT ON COLUMN embeddings.code_version IS 'Version of Phonolake that wrote the row';
