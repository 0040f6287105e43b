-- Held-out predictions of probes on frozen vectors: one row per cell of a benchmark,
-- condition, seed and test track. A cell is one shard.
CREATE TABLE benchmark_answers (
    cell           VARCHAR NOT NULL,
    representation VARCHAR NOT NULL,
    probe          VARCHAR NOT NULL,
    training       VARCHAR NOT NULL,
    condition      VARCHAR NOT NULL,
    seed           INTEGER NOT NULL,
    track_id       VARCHAR NOT NULL,
    cluster        VARCHAR NOT NULL,
    truth          INTEGER[] NOT NULL,
    scores         FLOAT[],
    chosen         VARCHAR NOT NULL,
    n_train        INTEGER NOT NULL,
    code_version   VARCHAR NOT NULL
);
COMMENT ON TABLE benchmark_answers IS 'Held-out predictions of probes on frozen vectors';
COMMENT ON COLUMN benchmark_answers.cell IS 'Cell of a benchmark: vectors, probe, labels, split and fold';
COMMENT ON COLUMN benchmark_answers.representation IS 'The vectors: features:NAME, embeddings:RUN_ID, home:MODEL, untrained:MODEL; prior and chance read none';
COMMENT ON COLUMN benchmark_answers.probe IS 'The model over them: logistic-regression, knn, mlp; none';
COMMENT ON COLUMN benchmark_answers.training IS 'Training tracks: as-given, unrelated (nothing that shares an artist or recording with the test part), corrected (labels with annotations laid over them, in training and test)';
COMMENT ON COLUMN benchmark_answers.condition IS 'How the track was heard: clean, or the deformation of its audio';
COMMENT ON COLUMN benchmark_answers.seed IS 'Seed of the probe';
COMMENT ON COLUMN benchmark_answers.track_id IS 'Test track';
COMMENT ON COLUMN benchmark_answers.cluster IS 'Tracks that are drawn together for intervals: by artist or recording';
COMMENT ON COLUMN benchmark_answers.truth IS 'Its labels, as numbers from 0 in the order of their names';
COMMENT ON COLUMN benchmark_answers.scores IS 'Score of each label in [0, 1]; NULL where the track has no vector';
COMMENT ON COLUMN benchmark_answers.chosen IS 'Hyper-parameters that did best on the validation tracks, as JSON';
COMMENT ON COLUMN benchmark_answers.n_train IS 'Tracks that the probe learned from';
COMMENT ON COLUMN benchmark_answers.code_version IS 'Version of Phonolake that wrote the row';
