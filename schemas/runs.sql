-- One row per finished run of a stage; the same request over the same inputs is the same run.
CREATE TABLE runs (
    run_id       VARCHAR NOT NULL,
    stage        VARCHAR NOT NULL,
    config       VARCHAR NOT NULL,
    config_hash  VARCHAR NOT NULL,
    inputs       BIGINT  NOT NULL,
    outputs      BIGINT  NOT NULL,
    rejects      BIGINT  NOT NULL,
    snapshot     VARCHAR NOT NULL,
    started_at   TIMESTAMPTZ NOT NULL,
    finished_at  TIMESTAMPTZ NOT NULL,
    code_version VARCHAR NOT NULL
);
COMMENT ON TABLE runs IS 'One row per finished run of a stage';
COMMENT ON COLUMN runs.run_id IS 'stage-hash of the configuration and the inputs';
COMMENT ON COLUMN runs.stage IS 'ingest, extract, train, import, score or index';
COMMENT ON COLUMN runs.config IS 'The whole configuration as JSON';
COMMENT ON COLUMN runs.config_hash IS 'Hash of the configuration';
COMMENT ON COLUMN runs.inputs IS 'Inputs that the run was responsible for';
COMMENT ON COLUMN runs.outputs IS 'Inputs that made it; inputs = outputs + rejects';
COMMENT ON COLUMN runs.rejects IS 'Inputs that were left out; each has a row in rejects';
COMMENT ON COLUMN runs.snapshot IS 'Version of every table that the run read, as JSON';
COMMENT ON COLUMN runs.started_at IS 'When it started (UTC)';
COMMENT ON COLUMN runs.finished_at IS 'When it was committed (UTC)';
COMMENT ON COLUMN runs.code_version IS 'Version of Phonolake that ran';
