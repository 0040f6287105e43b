-- How often a class was confused with another, by held-out predictions.
CREATE TABLE confusions (
    run_id          VARCHAR NOT NULL,
    label_true      VARCHAR NOT NULL,
    label_predicted VARCHAR NOT NULL,
    n               BIGINT  NOT NULL,
    share           DOUBLE  NOT NULL
);
COMMENT ON TABLE confusions IS 'How often a class was confused with another, by held-out predictions';
COMMENT ON COLUMN confusions.run_id IS 'Run of the stage analyse that found it; its parameters and data are in runs';
COMMENT ON COLUMN confusions.label_true IS 'Given class';
COMMENT ON COLUMN confusions.label_predicted IS 'Most probable class';
COMMENT ON COLUMN confusions.n IS 'Tracks';
COMMENT ON COLUMN confusions.share IS 'n over the tracks of the given class';
