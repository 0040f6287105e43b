-- The k nearest neighbours of every track with an embedding, by one run: `phonolake neighbours graph`.
CREATE TABLE neighbours (
    track_id     VARCHAR NOT NULL,
    other_id     VARCHAR NOT NULL,
    rank         INTEGER NOT NULL,
    similarity   DOUBLE  NOT NULL,
    model        VARCHAR NOT NULL,
    run_id       VARCHAR NOT NULL,
    source_shard VARCHAR NOT NULL,
    config_hash  VARCHAR NOT NULL,
    code_version VARCHAR NOT NULL
);
COMMENT ON TABLE neighbours IS 'The nearest neighbours of every track with an embedding';
COMMENT ON COLUMN neighbours.track_id IS 'The track';
COMMENT ON COLUMN neighbours.other_id IS 'Its neighbour';
COMMENT ON COLUMN neighbours.rank IS '1 for the most alike';
COMMENT ON COLUMN neighbours.similarity IS 'Cosine similarity of their embeddings, in [-1, 1]';
COMMENT ON COLUMN neighbours.model IS 'Model whose embeddings were compared';
COMMENT ON COLUMN neighbours.run_id IS 'Run that made the embeddings';
COMMENT ON COLUMN neighbours.source_shard IS 'Shard of embeddings that the track is of';
COMMENT ON COLUMN neighbours.config_hash IS 'Hash of the number of neighbours and of all embeddings that were compared';
COMMENT ON COLUMN neighbours.code_version IS 'Version of Phonolake that wrote the row';
