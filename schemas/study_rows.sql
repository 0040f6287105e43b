-- The rows that a study printed last: a figure of a paper beside ours.
CREATE TABLE study_rows (
    study_run   VARCHAR NOT NULL,
    position    INTEGER NOT NULL,
    study       VARCHAR NOT NULL,
    part        VARCHAR NOT NULL,
    table_name  VARCHAR NOT NULL,
    row_name    VARCHAR NOT NULL,
    model       VARCHAR NOT NULL,
    metric      VARCHAR NOT NULL,
    paper       DOUBLE,
    ours        DOUBLE,
    std         DOUBLE,
    low         DOUBLE,
    high        DOUBLE,
    n           INTEGER NOT NULL,
    notes       VARCHAR NOT NULL,
    models_read VARCHAR[]
);
COMMENT ON TABLE study_rows IS 'The rows that a study printed last: a figure of a paper beside ours';
COMMENT ON COLUMN study_rows.study_run IS 'study-hash of the request; a repeated request replaces its earlier rows';
COMMENT ON COLUMN study_rows.position IS 'Place among the rows, from 1';
COMMENT ON COLUMN study_rows.study IS 'Name of the study';
COMMENT ON COLUMN study_rows.part IS 'Part of the study';
COMMENT ON COLUMN study_rows.table_name IS 'Table or figure of the paper';
COMMENT ON COLUMN study_rows.row_name IS 'Row of it, in the words of the paper';
COMMENT ON COLUMN study_rows.model IS 'Name in the registry of models';
COMMENT ON COLUMN study_rows.metric IS 'Name of the figure';
COMMENT ON COLUMN study_rows.paper IS 'As printed; NULL where the paper has no such figure';
COMMENT ON COLUMN study_rows.ours IS 'Mean over n runs; NULL where it is not defined';
COMMENT ON COLUMN study_rows.std IS 'Standard deviation over the runs; NULL for one';
COMMENT ON COLUMN study_rows.low IS 'Least of the runs';
COMMENT ON COLUMN study_rows.high IS 'Greatest of the runs';
COMMENT ON COLUMN study_rows.n IS 'Runs: seeds of the model';
COMMENT ON COLUMN study_rows.notes IS 'Keys of the deviations that touch the figure';
COMMENT ON COLUMN study_rows.models_read IS 'Models that the study read: embeddings:RUN of the lake, home:NAME of the model home; NULL where it was not noted';
