-- Tracks on a plane where near ones are alike; the axes mean nothing.
CREATE TABLE track_maps (
    run_id   VARCHAR NOT NULL,
    track_id VARCHAR NOT NULL,
    label    VARCHAR,
    x        DOUBLE  NOT NULL,
    y        DOUBLE  NOT NULL
);
COMMENT ON TABLE track_maps IS 'Tracks on a plane where near ones are alike; the axes mean nothing';
COMMENT ON COLUMN track_maps.run_id IS 'Run of the stage analyse that found it; its parameters and data are in runs';
COMMENT ON COLUMN track_maps.track_id IS 'Track';
COMMENT ON COLUMN track_maps.label IS 'Its label; NULL without one';
COMMENT ON COLUMN track_maps.x IS 'Horizontal place';
COMMENT ON COLUMN track_maps.y IS 'Vertical place';
