-- One row per recording that made it into the lake.
CREATE TABLE tracks (
    track_id         VARCHAR NOT NULL,
    dataset          VARCHAR NOT NULL,
    source_id        VARCHAR NOT NULL,
    title            VARCHAR,
    artist           VARCHAR,
    album            VARCHAR,
    year             INTEGER,
    licence          VARCHAR,
    duration_seconds DOUBLE  NOT NULL,
    config_hash      VARCHAR NOT NULL,
    code_version     VARCHAR NOT NULL
);
COMMENT ON TABLE tracks IS 'One row per recording that made it into the lake';
COMMENT ON COLUMN tracks.track_id IS 'dataset:source-id, such as fma:000002; unique';
COMMENT ON COLUMN tracks.dataset IS 'Name of the dataset the recording came with';
COMMENT ON COLUMN tracks.source_id IS 'Name inside the dataset: an official id, or a path below the folder';
COMMENT ON COLUMN tracks.title IS 'Title from the dataset, else from the file tags';
COMMENT ON COLUMN tracks.artist IS 'Artist from the dataset, else from the file tags';
COMMENT ON COLUMN tracks.album IS 'Album from the dataset, else from the file tags';
COMMENT ON COLUMN tracks.year IS 'Year of release';
COMMENT ON COLUMN tracks.licence IS 'Licence of the recording where the dataset states one';
COMMENT ON COLUMN tracks.duration_seconds IS 'Decoded duration in seconds; 0 where the lake has metadata alone, and no audio';
COMMENT ON COLUMN tracks.config_hash IS 'Hash of the ingest configuration that wrote the row';
COMMENT ON COLUMN tracks.code_version IS 'Version of Phonolake that wrote the row';
