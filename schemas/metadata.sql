-- What a dataset itself says of a track beyond the columns of `tracks`: numbers of artist and album, tempo, position in a
-- source recording. One row per track that was ingested since this table is there.
CREATE TABLE metadata (
    track_id      VARCHAR NOT NULL,
    artist_id     VARCHAR,
    album_id      VARCHAR,
    attributes    VARCHAR NOT NULL,
    metadata_hash VARCHAR NOT NULL
);
COMMENT ON TABLE metadata IS 'Metadata of a track in its dataset, beyond the columns of tracks';
COMMENT ON COLUMN metadata.track_id IS 'Track it is about';
COMMENT ON COLUMN metadata.artist_id IS 'Number of the artist inside the dataset; NULL where it gives none';
COMMENT ON COLUMN metadata.album_id IS 'Number of the album inside the dataset; NULL where it gives none';
COMMENT ON COLUMN metadata.attributes IS 'JSON object with other metadata, such as {"bpm": 87.0}; attributes->>''$.bpm'' reads one value';
COMMENT ON COLUMN metadata.metadata_hash IS 'Hash of all that the dataset says of the track: when it changes, ingest takes the track in again';
