-- The labels that a dataset can give, with their hierarchy: written by ingest from the dataset's own list.
CREATE TABLE vocabulary (
    dataset   VARCHAR NOT NULL,
    label     VARCHAR NOT NULL,
    source_id VARCHAR NOT NULL,
    parents   VARCHAR[] NOT NULL,
    n_rated   BIGINT,
    n_true    BIGINT
);
COMMENT ON TABLE vocabulary IS 'The labels that a dataset can give, with their hierarchy';
COMMENT ON COLUMN vocabulary.dataset IS 'Dataset that gives the label';
COMMENT ON COLUMN vocabulary.label IS 'The label, as in labels.label';
COMMENT ON COLUMN vocabulary.source_id IS 'The dataset''s own name for it, such as /m/04rlf or a number';
COMMENT ON COLUMN vocabulary.parents IS 'Labels right above it; empty at the top';
COMMENT ON COLUMN vocabulary.n_rated IS 'Uses of the label that the dataset''s owners checked; NULL where they published none';
COMMENT ON COLUMN vocabulary.n_true IS 'How many of those were right';
