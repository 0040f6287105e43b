-- Answers of people who listened again.
CREATE TABLE annotations (
    track_id     VARCHAR NOT NULL,
    label        VARCHAR NOT NULL,
    value        TINYINT,
    rater        VARCHAR NOT NULL,
    annotated_at TIMESTAMPTZ NOT NULL
);
COMMENT ON TABLE annotations IS 'Answers of people who listened again';
COMMENT ON COLUMN annotations.track_id IS 'Track that was listened to';
COMMENT ON COLUMN annotations.label IS 'Label that was asked about';
COMMENT ON COLUMN annotations.value IS '1 it holds, 0 it does not, NULL skipped';
COMMENT ON COLUMN annotations.rater IS 'Who answered';
COMMENT ON COLUMN annotations.annotated_at IS 'When (UTC)';
