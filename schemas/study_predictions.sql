-- Held-out predictions of the models of studies; these answer for studies alone.
CREATE TABLE study_predictions (
    track_id      VARCHAR NOT NULL,
    cell_id       VARCHAR NOT NULL,
    protocol      VARCHAR NOT NULL,
    fold          SMALLINT,
    probabilities FLOAT[] NOT NULL
);
COMMENT ON TABLE study_predictions IS 'Held-out predictions of the models of studies';
COMMENT ON COLUMN study_predictions.track_id IS 'Track that was held out';
COMMENT ON COLUMN study_predictions.cell_id IS 'Cell of the study';
COMMENT ON COLUMN study_predictions.protocol IS 'test; where settings were chosen also: best (by the very tracks that it was measured on) and nested (by others)';
COMMENT ON COLUMN study_predictions.fold IS 'Fold that was held out; NULL for a fixed split';
COMMENT ON COLUMN study_predictions.probabilities IS 'In [0, 1], in the order of the classes of the cell';
