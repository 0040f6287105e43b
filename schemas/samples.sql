-- Tracks to listen to again, drawn for each label from those that have it and those that do not.
CREATE TABLE samples (
    sample       VARCHAR NOT NULL,
    position     INTEGER NOT NULL,
    track_id     VARCHAR NOT NULL,
    label        VARCHAR NOT NULL,
    value        TINYINT NOT NULL,
    source       VARCHAR NOT NULL,
    config       VARCHAR NOT NULL,
    config_hash  VARCHAR NOT NULL,
    code_version VARCHAR NOT NULL
);
COMMENT ON TABLE samples IS 'Tracks to listen to again, by sample';
COMMENT ON COLUMN samples.sample IS 'Name of the sample';
COMMENT ON COLUMN samples.position IS 'Place in the order in which it is asked, from 1';
COMMENT ON COLUMN samples.track_id IS 'Track to listen to';
COMMENT ON COLUMN samples.label IS 'Label to ask about';
COMMENT ON COLUMN samples.value IS 'The label as it was given when the sample was drawn: 1 the track has it, 0 it has not. Raters do not see it';
COMMENT ON COLUMN samples.source IS 'Who gave it (labels.source)';
COMMENT ON COLUMN samples.config IS 'Configuration of the draw, as JSON, with the seed';
COMMENT ON COLUMN samples.config_hash IS 'Hash of the configuration';
COMMENT ON COLUMN samples.code_version IS 'Version of Phonolake that drew it';
