-- Labels of tracks, and their sources.
CREATE TABLE labels (
    track_id   VARCHAR NOT NULL,
    label      VARCHAR NOT NULL,
    value      TINYINT NOT NULL,
    source     VARCHAR NOT NULL,
    confidence DOUBLE
);
COMMENT ON TABLE labels IS 'Labels of tracks, and their sources';
COMMENT ON COLUMN labels.track_id IS 'Track the label is about';
COMMENT ON COLUMN labels.label IS 'The label: a genre, a tag, a class, a folder name';
COMMENT ON COLUMN labels.value IS '1 the track has the label, 0 the source says that it does not';
COMMENT ON COLUMN labels.source IS 'Source of the label: dataset (its classes, genres or folders), tags (free words of the dataset), file-tag (the genres in the file), or the name of an imported table';
COMMENT ON COLUMN labels.confidence IS 'Confidence of an imported table, 0 to 1: value is 1 from 0.5 on; NULL if it has none';
