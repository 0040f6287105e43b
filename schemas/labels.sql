-- What is said about a track, and who says so.
CREATE TABLE labels (
    track_id   VARCHAR NOT NULL,
    label      VARCHAR NOT NULL,
    value      TINYINT NOT NULL,
    source     VARCHAR NOT NULL,
    confidence DOUBLE
);
COMMENT ON TABLE labels IS 'What is said about a track, and who says so';
COMMENT ON COLUMN labels.track_id IS 'Track the label is about';
COMMENT ON COLUMN labels.label IS 'The label: a genre, a tag, a class, a folder name';
COMMENT ON COLUMN labels.value IS '1 the label holds, 0 it was said not to hold';
COMMENT ON COLUMN labels.source IS 'Who says so: dataset (its classes, genres or folders), tags (free words of the dataset), file-tag (the genres in the file), or the name of an imported table';
COMMENT ON COLUMN labels.confidence IS 'How sure an imported table is that the label holds, 0 to 1: value is 1 from 0.5 on; NULL where it does not say';
