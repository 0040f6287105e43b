-- Vectors that a benchmark computed for itself: of networks that are no run of the lake, and of deformed recordings.
CREATE TABLE benchmark_vectors (
    representation VARCHAR NOT NULL,
    condition      VARCHAR NOT NULL,
    track_id       VARCHAR NOT NULL,
    vector         FLOAT[],
    seconds        DOUBLE  NOT NULL,
    audio_seconds  DOUBLE  NOT NULL,
    source_shard   VARCHAR NOT NULL,
    code_version   VARCHAR NOT NULL
);
COMMENT ON TABLE benchmark_vectors IS 'Vectors that a benchmark computed for itself';
COMMENT ON COLUMN benchmark_vectors.representation IS 'Source of the vectors: features:NAME, embeddings:RUN_ID, home:MODEL, untrained:MODEL';
COMMENT ON COLUMN benchmark_vectors.condition IS 'How the recording was heard: clean, or the deformation of its audio';
COMMENT ON COLUMN benchmark_vectors.track_id IS 'Track';
COMMENT ON COLUMN benchmark_vectors.vector IS 'The vector; NULL where there was none to be made';
COMMENT ON COLUMN benchmark_vectors.seconds IS 'Seconds that it took on one core, decoding included';
COMMENT ON COLUMN benchmark_vectors.audio_seconds IS 'Length of the recording in seconds';
COMMENT ON COLUMN benchmark_vectors.source_shard IS 'Shard of audio it was computed from';
COMMENT ON COLUMN benchmark_vectors.code_version IS 'Version of Phonolake that wrote the row';
