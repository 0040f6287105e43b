-- Single labels to listen to again, with the evidence.
CREATE TABLE label_suspects (
    run_id      VARCHAR NOT NULL,
    rank        INTEGER NOT NULL,
    kind        VARCHAR NOT NULL,
    track_id    VARCHAR NOT NULL,
    label       VARCHAR NOT NULL,
    instead     VARCHAR,
    probability DOUBLE  NOT NULL,
    doubt       DOUBLE  NOT NULL,
    neighbours  DOUBLE,
    expected    DOUBLE,
    because     VARCHAR,
    p_wrong     DOUBLE,
    n_wrong     DOUBLE,
    n_wrong_low INTEGER,
    n_wrong_high INTEGER
);
COMMENT ON TABLE label_suspects IS 'Single labels to listen to again, with the evidence';
COMMENT ON COLUMN label_suspects.run_id IS 'Run of the stage analyse that found it; its parameters and data are in runs';
COMMENT ON COLUMN label_suspects.rank IS 'Rank by doubt among the suspects of one kind, from 1';
COMMENT ON COLUMN label_suspects.kind IS 'false-positive: the track has the label; missing-positive: it lacks it';
COMMENT ON COLUMN label_suspects.track_id IS 'Track in question';
COMMENT ON COLUMN label_suspects.label IS 'Label in question';
COMMENT ON COLUMN label_suspects.instead IS 'Class that the models take it for, or that it was given; NULL where tracks have several labels';
COMMENT ON COLUMN label_suspects.probability IS 'Held-out probability of the label';
COMMENT ON COLUMN label_suspects.doubt IS 'How much the models doubt it, in [-1, 1]';
COMMENT ON COLUMN label_suspects.neighbours IS 'Share of the nearest other tracks that have the label; NULL without embeddings';
COMMENT ON COLUMN label_suspects.expected IS 'C(because, label), the share of tracks with that label that have this one';
COMMENT ON COLUMN label_suspects.because IS 'Label of the track that makes this one most likely; NULL when it has no other';
COMMENT ON COLUMN label_suspects.p_wrong IS 'Probability that it is wrong, corrected for errors of the models; NULL if unknown';
COMMENT ON COLUMN label_suspects.n_wrong IS 'Expected number of wrong ones among the suspects up to this rank; NULL if unknown, and after the first 500';
COMMENT ON COLUMN label_suspects.n_wrong_low IS 'Least n_wrong of its 95 % interval';
COMMENT ON COLUMN label_suspects.n_wrong_high IS 'Greatest n_wrong of its 95 % interval';
