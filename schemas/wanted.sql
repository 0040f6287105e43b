-- Clips that a dataset names by an address elsewhere and that were asked for.
CREATE TABLE wanted (
    track_id      VARCHAR NOT NULL,
    dataset       VARCHAR NOT NULL,
    ytid          VARCHAR NOT NULL,
    start_seconds DOUBLE  NOT NULL,
    end_seconds   DOUBLE  NOT NULL,
    labels        VARCHAR[] NOT NULL
);
COMMENT ON TABLE wanted IS 'Requested clips; the view availability_now has the state of each';
COMMENT ON COLUMN wanted.track_id IS 'The id that the clip has, or would have, in tracks; unique';
COMMENT ON COLUMN wanted.dataset IS 'Dataset that names the clip';
COMMENT ON COLUMN wanted.ytid IS 'Id of the video with the clip';
COMMENT ON COLUMN wanted.start_seconds IS 'Where the clip begins in the video, in seconds';
COMMENT ON COLUMN wanted.end_seconds IS 'Where it ends, in seconds';
COMMENT ON COLUMN wanted.labels IS 'Labels for which it was requested';
