-- One row per finished cell of a study: one training, or one choice among classifiers, and what it reached.
CREATE TABLE study_cells (
    cell_id       VARCHAR NOT NULL,
    model         VARCHAR NOT NULL,
    cell          VARCHAR NOT NULL,
    classes       VARCHAR[] NOT NULL,
    figures       VARCHAR NOT NULL,
    label_vectors FLOAT[],
    seconds       DOUBLE NOT NULL,
    finished_at   TIMESTAMPTZ NOT NULL,
    code_version  VARCHAR NOT NULL
);
COMMENT ON TABLE study_cells IS 'One row per finished cell of a study: the varied settings, and the results';
COMMENT ON COLUMN study_cells.cell_id IS 'Hash of the varied settings and of the data';
COMMENT ON COLUMN study_cells.model IS 'Name in the registry of models';
COMMENT ON COLUMN study_cells.cell IS 'All that a study may vary, as JSON';
COMMENT ON COLUMN study_cells.classes IS 'Classes in the order of the probabilities';
COMMENT ON COLUMN study_cells.figures IS 'Figures measured by the worker, as JSON: epochs, parameters, seconds for a track ...';
COMMENT ON COLUMN study_cells.label_vectors IS 'Output weights of a network, class by class; NULL if no weights belong to a class';
COMMENT ON COLUMN study_cells.seconds IS 'How long it took';
COMMENT ON COLUMN study_cells.finished_at IS 'When it was done (UTC)';
COMMENT ON COLUMN study_cells.code_version IS 'Version of Phonolake that ran';
