-- What a layer of a network gives: one vector per track, or one per window of it.
CREATE TABLE activations (
    track_id     VARCHAR NOT NULL,
    model        VARCHAR NOT NULL,
    run_id       VARCHAR NOT NULL,
    layer        VARCHAR NOT NULL,
    segment      INTEGER,
    first_step   BIGINT,
    activation   FLOAT[] NOT NULL,
    source_shard VARCHAR NOT NULL,
    code_version VARCHAR NOT NULL
);
COMMENT ON TABLE activations IS 'Output of a layer of a network, by track or by window';
COMMENT ON COLUMN activations.track_id IS 'Track of the vector';
COMMENT ON COLUMN activations.model IS 'Name of the model';
COMMENT ON COLUMN activations.run_id IS 'Run that trained the model';
COMMENT ON COLUMN activations.layer IS 'Name of the layer in the network, such as convs.3; embedding for the network''s own';
COMMENT ON COLUMN activations.segment IS 'Number of the window, from 0; NULL for the mean over a track''s windows';
COMMENT ON COLUMN activations.first_step IS 'First step of the window: frames of the spectrogram, samples of the waveform; NULL for the whole track';
COMMENT ON COLUMN activations.activation IS 'Mean of each map over its places; its length is the same for all rows of a layer';
COMMENT ON COLUMN activations.source_shard IS 'Shard of spectrograms or audio it was computed from';
COMMENT ON COLUMN activations.code_version IS 'Version of Phonolake that wrote the row';
