-- The dated history of every attempt to obtain a wanted clip; the newest row of a clip is its state.
CREATE TABLE availability (
    track_id  VARCHAR NOT NULL,
    dataset   VARCHAR NOT NULL,
    state     VARCHAR NOT NULL,
    detail    VARCHAR NOT NULL,
    seen_at   TIMESTAMPTZ NOT NULL,
    seconds   DOUBLE,
    peak_dbfs DOUBLE,
    sha256    VARCHAR,
    other_id  VARCHAR
);
COMMENT ON TABLE availability IS 'The result of each attempt to obtain a wanted clip';
COMMENT ON COLUMN availability.track_id IS 'Clip in wanted';
COMMENT ON COLUMN availability.dataset IS 'Dataset that names the clip';
COMMENT ON COLUMN availability.state IS 'fetched, removed, private, age-bound, region-bound, blocked, network-fault, decode-fault, too-short, silent or duplicate';
COMMENT ON COLUMN availability.detail IS 'Message or measured value';
COMMENT ON COLUMN availability.seen_at IS 'When (UTC)';
COMMENT ON COLUMN availability.seconds IS 'Duration of the download, in seconds; NULL if there is none';
COMMENT ON COLUMN availability.peak_dbfs IS 'Its largest absolute sample in dB relative to full scale; NULL where nothing came';
COMMENT ON COLUMN availability.sha256 IS 'SHA-256 of its decoded samples; NULL where nothing came';
COMMENT ON COLUMN availability.other_id IS 'The fetched clip with the same samples, for a duplicate';
