-- The encoded bytes exactly as received, with what decoding them showed: a row for each track, and for each piece of a large one.
CREATE TABLE audio (
    track_id     VARCHAR NOT NULL,
    bytes        BLOB    NOT NULL,
    container    VARCHAR NOT NULL,
    codec        VARCHAR NOT NULL,
    sr           INTEGER NOT NULL,
    channels     INTEGER NOT NULL,
    n_samples    BIGINT  NOT NULL,
    peak_dbfs    DOUBLE  NOT NULL,
    rms_dbfs     DOUBLE  NOT NULL,
    sha256       VARCHAR NOT NULL,
    source_path  VARCHAR NOT NULL,
    source_bytes BIGINT  NOT NULL,
    source_mtime BIGINT  NOT NULL,
    piece        INTEGER
);
COMMENT ON TABLE audio IS 'Encoded audio as received, with decoded facts; one row for each track WHERE coalesce(piece, 0) = 0';
COMMENT ON COLUMN audio.track_id IS 'Track the bytes belong to; unique with piece';
COMMENT ON COLUMN audio.bytes IS 'The file as received, byte for byte; a piece of it where piece is not NULL';
COMMENT ON COLUMN audio.container IS 'Container format, such as MP3, OGG, WAV, FLAC';
COMMENT ON COLUMN audio.codec IS 'Codec inside the container, such as VORBIS or PCM_16';
COMMENT ON COLUMN audio.sr IS 'Sampling rate of the file in hertz';
COMMENT ON COLUMN audio.channels IS 'Number of channels of the file';
COMMENT ON COLUMN audio.n_samples IS 'Decoded samples per channel';
COMMENT ON COLUMN audio.peak_dbfs IS 'Largest absolute sample over all channels in dB relative to full scale';
COMMENT ON COLUMN audio.rms_dbfs IS 'Root mean square over all channels in dB relative to full scale';
COMMENT ON COLUMN audio.sha256 IS 'SHA-256 of the whole file';
COMMENT ON COLUMN audio.source_path IS 'Where the file was read from';
COMMENT ON COLUMN audio.source_bytes IS 'Size of the file in bytes';
COMMENT ON COLUMN audio.source_mtime IS 'Modification time of the file in nanoseconds since 1970';
COMMENT ON COLUMN audio.piece IS 'Number of the piece from 0 of a file above 32 MiB, which is stored in pieces of that size; NULL for a whole file';
