-- How many clips of each label there were to choose from.
CREATE TABLE wanted_labels (
    dataset   VARCHAR NOT NULL,
    label     VARCHAR NOT NULL,
    available BIGINT  NOT NULL
);
COMMENT ON TABLE wanted_labels IS 'How many clips of each wanted label a dataset names';
COMMENT ON COLUMN wanted_labels.dataset IS 'Dataset';
COMMENT ON COLUMN wanted_labels.label IS 'Label that was asked for';
COMMENT ON COLUMN wanted_labels.available IS 'Clips with this label or one below it, before any were drawn';
