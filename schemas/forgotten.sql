-- Tombstones: ids of tracks that were taken down, so that no ingest and no download brings them back.
CREATE TABLE forgotten (
    track_id     VARCHAR NOT NULL,
    forgotten_at TIMESTAMPTZ NOT NULL,
    why          VARCHAR NOT NULL
);
COMMENT ON TABLE forgotten IS 'Tracks that were removed everywhere; nothing else is kept about them';
COMMENT ON COLUMN forgotten.track_id IS 'Id that is never ingested again';
COMMENT ON COLUMN forgotten.forgotten_at IS 'When (UTC)';
COMMENT ON COLUMN forgotten.why IS 'The reason that was given';
