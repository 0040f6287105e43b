-- Answers of people who listened again: for each rater, track and label the newest one that was not taken back. Their
-- whole history lies in LAKE/annotations, one journal for each rater; an answer is safe there before it is a row here.
CREATE TABLE annotations (
    track_id     VARCHAR NOT NULL,
    label        VARCHAR NOT NULL,
    value        TINYINT,
    rater        VARCHAR NOT NULL,
    annotated_at TIMESTAMPTZ NOT NULL,
    sample       VARCHAR
);
COMMENT ON TABLE annotations IS 'Answers of people who listened again';
COMMENT ON COLUMN annotations.track_id IS 'Track that was listened to';
COMMENT ON COLUMN annotations.label IS 'Label that was asked about';
COMMENT ON COLUMN annotations.value IS '1 the label is right, 0 it is wrong, NULL skipped';
COMMENT ON COLUMN annotations.rater IS 'Who answered';
COMMENT ON COLUMN annotations.annotated_at IS 'When (UTC)';
COMMENT ON COLUMN annotations.sample IS 'Sample that asked; NULL for an answer that came otherwise';
