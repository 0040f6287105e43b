-- The claims that a study judged last.
CREATE TABLE study_claims (
    study_run   VARCHAR NOT NULL,
    position    INTEGER NOT NULL,
    study       VARCHAR NOT NULL,
    part        VARCHAR NOT NULL,
    claim       VARCHAR NOT NULL,
    expects     VARCHAR NOT NULL,
    metric      VARCHAR NOT NULL,
    difference  DOUBLE,
    low         DOUBLE,
    high        DOUBLE,
    n           INTEGER NOT NULL,
    n_tracks    INTEGER NOT NULL,
    verdict     VARCHAR NOT NULL,
    data        VARCHAR NOT NULL,
    models_read VARCHAR[]
);
COMMENT ON TABLE study_claims IS 'The claims that a study judged last';
COMMENT ON COLUMN study_claims.study_run IS 'study-hash of the request, as in study_rows';
COMMENT ON COLUMN study_claims.position IS 'Place among the claims, from 1';
COMMENT ON COLUMN study_claims.study IS 'Name of the study';
COMMENT ON COLUMN study_claims.part IS 'Part of the study';
COMMENT ON COLUMN study_claims.claim IS 'A sentence of the paper';
COMMENT ON COLUMN study_claims.expects IS 'above: the difference lies above zero; within M: no farther from it than M';
COMMENT ON COLUMN study_claims.metric IS 'Metric of the difference';
COMMENT ON COLUMN study_claims.difference IS 'As measured; NULL where it is not defined';
COMMENT ON COLUMN study_claims.low IS 'Lower end of its 95 % interval over artists and seeds';
COMMENT ON COLUMN study_claims.high IS 'Upper end';
COMMENT ON COLUMN study_claims.n IS 'Seeds of each training';
COMMENT ON COLUMN study_claims.n_tracks IS 'Tracks that were held out';
COMMENT ON COLUMN study_claims.verdict IS 'holds, does not hold, or undecided';
COMMENT ON COLUMN study_claims.data IS 'Dataset of the test; says so if it is not that of the paper';
COMMENT ON COLUMN study_claims.models_read IS 'Models that the study read: embeddings:RUN of the lake, home:NAME of the model home; NULL if unknown';
