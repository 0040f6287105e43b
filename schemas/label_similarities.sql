-- How alike the output weights of a network are for two labels; one row for each unordered pair.
CREATE TABLE label_similarities (
    run_id            VARCHAR NOT NULL,
    label_i           VARCHAR NOT NULL,
    label_j           VARCHAR NOT NULL,
    similarity        DOUBLE  NOT NULL,
    rank              INTEGER NOT NULL,
    cooccurrence      DOUBLE,
    cooccurrence_rank DOUBLE,
    surplus           DOUBLE
);
COMMENT ON TABLE label_similarities IS 'How alike the output weights of a network are for two labels; one row for each unordered pair';
COMMENT ON COLUMN label_similarities.run_id IS 'Run of the stage analyse that found it; its parameters and data are in runs';
COMMENT ON COLUMN label_similarities.label_i IS 'One label';
COMMENT ON COLUMN label_similarities.label_j IS 'The other';
COMMENT ON COLUMN label_similarities.similarity IS 'Similarity of their weights; cosine in [-1, 1] or dot product, as the run says';
COMMENT ON COLUMN label_similarities.rank IS 'Rank of the pair by similarity, from 1';
COMMENT ON COLUMN label_similarities.cooccurrence IS 'max(C(i, j), C(j, i)) in [0, 1]; NULL where it was not asked for';
COMMENT ON COLUMN label_similarities.cooccurrence_rank IS 'Rank of the pair by cooccurrence, from 1; the mean one of equal values';
COMMENT ON COLUMN label_similarities.surplus IS 'log2(cooccurrence_rank / rank): positive where labels sound alike but seldom come together';
