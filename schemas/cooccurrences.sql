-- How often two labels come together; one row for each ordered pair that occurs.
CREATE TABLE cooccurrences (
    run_id  VARCHAR NOT NULL,
    label_i VARCHAR NOT NULL,
    label_j VARCHAR NOT NULL,
    n_both  BIGINT  NOT NULL,
    n_i     BIGINT  NOT NULL,
    n_j     BIGINT  NOT NULL,
    c       DOUBLE  NOT NULL,
    c_low   DOUBLE  NOT NULL,
    c_high  DOUBLE  NOT NULL,
    lift    DOUBLE  NOT NULL
);
COMMENT ON TABLE cooccurrences IS 'How often two labels come together; one row for each ordered pair that occurs';
COMMENT ON COLUMN cooccurrences.run_id IS 'Run of the stage analyse that found it; its parameters and data are in runs';
COMMENT ON COLUMN cooccurrences.label_i IS 'First label';
COMMENT ON COLUMN cooccurrences.label_j IS 'Second label';
COMMENT ON COLUMN cooccurrences.n_both IS 'Tracks with both';
COMMENT ON COLUMN cooccurrences.n_i IS 'Tracks with the first';
COMMENT ON COLUMN cooccurrences.n_j IS 'Tracks with the second';
COMMENT ON COLUMN cooccurrences.c IS 'C(i, j) = n_both / n_i, in [0, 1] (Choi et al. 2018, Eq. 1)';
COMMENT ON COLUMN cooccurrences.c_low IS 'Lower end of the Wilson interval of c';
COMMENT ON COLUMN cooccurrences.c_high IS 'Upper end of the Wilson interval of c';
COMMENT ON COLUMN cooccurrences.lift IS 'How many times commoner the second label is among tracks with the first than among all labelled tracks';
