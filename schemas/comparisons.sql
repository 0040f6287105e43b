-- What people answered to triplets: for each rater and triplet the newest answer that was not taken back. As annotations,
-- they are safe in the journals of LAKE/annotations before they are rows here.
CREATE TABLE comparisons (
    track_id     VARCHAR NOT NULL,
    first_id     VARCHAR NOT NULL,
    second_id    VARCHAR NOT NULL,
    value        TINYINT,
    rater        VARCHAR NOT NULL,
    annotated_at TIMESTAMPTZ NOT NULL,
    sample       VARCHAR
);
COMMENT ON TABLE comparisons IS 'Answers of people who compared two tracks with a third';
COMMENT ON COLUMN comparisons.track_id IS 'Track that the other two were compared with';
COMMENT ON COLUMN comparisons.first_id IS 'One of the two';
COMMENT ON COLUMN comparisons.second_id IS 'The other';
COMMENT ON COLUMN comparisons.value IS '1 the first sounds more like it, 0 the second does, NULL passed over';
COMMENT ON COLUMN comparisons.rater IS 'Who answered';
COMMENT ON COLUMN comparisons.annotated_at IS 'When (UTC)';
COMMENT ON COLUMN comparisons.sample IS 'Sample that asked; NULL for an answer that came otherwise';
