-- One row per track, model run and label.
CREATE TABLE predictions (
    track_id     VARCHAR NOT NULL,
    model        VARCHAR NOT NULL,
    run_id       VARCHAR NOT NULL,
    label        VARCHAR NOT NULL,
    probability  FLOAT   NOT NULL,
    part         VARCHAR,
    source_shard VARCHAR NOT NULL,
    code_version VARCHAR NOT NULL
);
COMMENT ON TABLE predictions IS 'One row per track, model run and label';
COMMENT ON COLUMN predictions.track_id IS 'Track that was scored';
COMMENT ON COLUMN predictions.model IS 'Name of the model';
COMMENT ON COLUMN predictions.run_id IS 'Run that trained the model';
COMMENT ON COLUMN predictions.label IS 'Label the probability is for';
COMMENT ON COLUMN predictions.probability IS 'Predicted probability in [0, 1]';
COMMENT ON COLUMN predictions.part IS 'Part of the track in that run: train, valid or test; NULL if it had none';
COMMENT ON COLUMN predictions.source_shard IS 'Shard of spectrograms or features that was scored; the file, where predictions were imported';
COMMENT ON COLUMN predictions.code_version IS 'Version of Phonolake that wrote the row';
